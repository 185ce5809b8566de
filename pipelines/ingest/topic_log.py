"""What all logs of timed messages share: topics, decoding, and what is inside."""

from __future__ import annotations

import abc
import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from thresher.episodes.errors import UserError
from thresher.pipelines.ingest.message_decoders import (
    DecodeError,
    Decoder,
    SchemaError,
)
from thresher.pipelines.ingest.message_fields import (
    MISSING,
    FieldReader,
    FieldValueError,
    parse_field,
)
from thresher.pipelines.ingest.message_images import ImageValueError
from thresher.pipelines.ingest.recording import Contents, Message
from thresher.pipelines.ingest.time_order import Timed
from thresher.pipelines.ingest.topic_contents import TopicSurvey

# Later than 2262 does not fit into the signed numbers that times are kept in.
LATEST_NS = 2**63 - 1


@dataclasses.dataclass(frozen=True)
class TopicChannel:
    """A channel of a log.

    Attributes:
      topic: Its topic; several channels may share one.
      type: Name of its type.
      decoder: Returns the decoder of its messages; may raise SchemaError.
    """

    topic: str
    type: str
    decoder: Any


class TopicLog(abc.ABC):
    """A log of timed messages; a format adds how channels and raw messages are found.

    Attributes:
      path: The file or folder.
      format: The format's name.
      not_asked_for: After `messages`: how many messages other topics had, by topic.
      bytes_read: How far `messages` has come.
    """

    format = ""

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        self.path = path
        self.options = options
        self.not_asked_for: Counter[str] = Counter()
        self.bytes_read = 0
        self._decoders: dict[int, Decoder | str] = {}

    @abc.abstractmethod
    def channels(self) -> Mapping[int, TopicChannel]:
        """Returns the channels by the number that raw messages name them by."""

    @abc.abstractmethod
    def raw(self, channels: set[int]) -> Iterator[Timed]:
        """Yields the messages of these channels, undecoded, in the order of time.

        Counts the others in `not_asked_for`, and the bytes of all in `bytes_read`.

        Raises:
          DamagedRecordingError: At the end, if the end is missing.
        """

    def topics(self) -> list[str]:
        """Returns the names of its topics."""
        return sorted({channel.topic for channel in self.channels().values()})

    def attributes(self) -> Mapping[str, Any]:
        """Returns what the recorder said about the whole log."""
        return {}

    def notes(self) -> list[str]:
        """Returns sentences about the whole log."""
        return []

    def messages(
        self, fields: Sequence[str], arrivals: Collection[str] = ()
    ) -> Iterator[Message]:
        """Yields the messages of the topics of `fields`; see `MessageLog`."""
        channels = self.channels()
        topics = {channel.topic for channel in channels.values()}
        marks = topics.intersection(arrivals)
        readers = self._readers([f for f in fields if f not in marks], topics)
        for topic in marks:
            readers.setdefault(topic, [])
        chosen = {n for n, channel in channels.items() if channel.topic in readers}
        numbers: Counter[str] = Counter()
        # The place farthest on of what was yielded, by topic.
        reached: dict[str, int] = {}
        self.not_asked_for.clear()
        self.bytes_read = 0
        for raw in self.raw(chosen):
            if raw.channel < 0:
                yield Message("", raw.time_ns, {}, str(self.path), raw.problem)
                continue
            topic = channels[raw.channel].topic
            position = f"message {numbers[topic]} of {topic}"
            numbers[topic] += 1
            message = self._message(
                raw, channels[raw.channel], readers[topic], position
            )
            if topic in marks and not message.problem:
                values = {**message.values, topic: True}
                message = dataclasses.replace(message, values=values)
            if raw.place < reached.setdefault(topic, raw.place):
                message = dataclasses.replace(message, is_displaced=True)
            else:
                reached[topic] = raw.place
            yield message

    def _readers(
        self, fields: Sequence[str], topics: set[str]
    ) -> dict[str, list[FieldReader]]:
        readers: dict[str, list[FieldReader]] = {}
        for field in dict.fromkeys(fields):
            try:
                path = parse_field(field, topics)
            except UserError as error:
                raise UserError(f"{self.path}: {error}") from error
            readers.setdefault(path.topic, []).append(FieldReader(path))
        return readers

    def _message(
        self,
        raw: Timed,
        channel: TopicChannel,
        readers: list[FieldReader],
        position: str,
    ) -> Message:
        if raw.problem or not 0 <= raw.time_ns <= LATEST_NS:
            problem = raw.problem or f"its time is {raw.time_ns} ns"
            return Message(channel.topic, 0, {}, position, problem)
        try:
            values = {}
            # A mark is one whatever is in it.
            decoded = self.decode(raw, channel) if readers else None
            for reader in readers:
                value = reader(decoded)
                if value is not MISSING:
                    values[reader.path.text] = value
        except (DecodeError, SchemaError, FieldValueError, ImageValueError) as error:
            return Message(channel.topic, raw.time_ns, {}, position, str(error))
        except UserError as error:
            raise UserError(f"{self.path}, {position}: {error}") from error
        return Message(channel.topic, raw.time_ns, values, position)

    def decode(self, raw: Timed, channel: TopicChannel) -> Any:
        """Returns a raw message, decoded.

        Raises:
          SchemaError: Its channel has no usable schema.
          DecodeError: Its bytes are not what the schema says.
        """
        decoder = self._decoders.get(raw.channel)
        if decoder is None:
            try:
                decoder = channel.decoder()
            except SchemaError as error:
                # Said of each message, made out once.
                decoder = str(error)
            self._decoders[raw.channel] = decoder
        if isinstance(decoder, str):
            raise SchemaError(decoder)
        return decoder(raw.data)

    def contents(self) -> Contents:
        """Returns what is inside, having read the log once."""
        channels = self.channels()
        survey = TopicSurvey()
        notes = list(self.notes())
        try:
            for raw in self.raw(set(channels)):
                if raw.channel < 0:
                    notes.append(raw.problem)
                    continue
                channel = channels[raw.channel]
                if survey.add(channel.topic, channel.type, raw.time_ns):
                    self._show(survey, raw, channel)
        except UserError as error:
            notes.append(str(error))
        for channel in channels.values():
            survey.add_silent(channel.topic, channel.type)
        return Contents(
            self.format,
            survey.fields(),
            notes=tuple(notes + survey.notes()),
            attributes=tuple(self.attributes()),
        )

    def _show(self, survey: TopicSurvey, raw: Timed, channel: TopicChannel) -> None:
        try:
            survey.show(channel.topic, self.decode(raw, channel))
        except (DecodeError, SchemaError, UserError) as error:
            survey.cannot_show(channel.topic, str(error))
