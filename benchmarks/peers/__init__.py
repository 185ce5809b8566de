"""What others would write for the same work; measured side by side with ours."""
