#!/usr/bin/env bash
# The whole road once, station by station; each is a command of its own.
# Finished stations answer at once and interrupted ones resume, so running this again
# goes on from what is there. Another size or seed wants another OUT.
set -euo pipefail

OUT=${OUT:-runs/quickstart}
SEED=${SEED:-1}
EPISODES=${EPISODES:-10000}
STEPS=${STEPS:-2000}
TRIALS=${TRIALS:-250}
# The world's own 20,000 scenes take ten minutes to settle.
SCENES=${SCENES:-2000}

export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3}

station() {
  printf '\n$ %s\n' "$*"
  "$@"
}

dataset="$OUT/datasets/bin_grasping/1.0.0"

station thresher collect --out "$OUT/raw" --policy scripted \
  --episodes "$EPISODES" --seed "$SEED" --scenes "$SCENES"

station tfds build bin_grasping \
  --imports thresher.rlds_builders.bin_grasping.bin_grasping_dataset_builder \
  --data_dir "$OUT/datasets" --manual_dir "$OUT/raw"

station thresher train qt-opt --dataset "$dataset" --out "$OUT/training" \
  --steps "$STEPS" --seed "$SEED"

for policy in random scripted; do
  station thresher evaluate "$policy" --out "$OUT/evaluation/$policy" \
    --episodes "$TRIALS"
done
station thresher evaluate "$OUT/training/policy" --out "$OUT/evaluation/learned" \
  --episodes "$TRIALS"

station thresher report "$OUT/raw" "$dataset" "$OUT/training" \
  "$OUT/evaluation/random" "$OUT/evaluation/scripted" "$OUT/evaluation/learned" \
  --out "$OUT/report.html" --title "Bin grasping: scripted data, offline policy"
