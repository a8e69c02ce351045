import { expect, test } from "vitest";
import { EnvelopeReader, encodeEnvelope, eventOf } from "./envelopes.ts";

const BYTES = Buffer.from([0, 255, 10, 251, 239, 190, 34, 92]);
const TEXT = BYTES.toString("base64");

test.each([
  ["as it is usually spelled", `{"event":{"data":{"stdout":"${TEXT}"}}}`],
  ["with blanks", ` { "event": {"data" :\n{"stdout": "${TEXT}" } } }\n`],
  ["with what is not there as null", `{"event":{"start":null,"data":{"stderr":null,"stdout":"${TEXT}"}}}`],
  ["with more than that", `{"event":{"data":{"stdout":"${TEXT}","at":"now"}}}`],
  [
    "with escaped characters",
    `{"event":{"data":{"stdout":"${TEXT.replaceAll("/", "\\/").replaceAll("+", "\\u002b")}"}}}`,
  ],
  ["without padding", `{"event":{"data":{"stdout":"${TEXT.replaceAll("=", "")}"}}}`],
])("output %s is the same bytes", (_, json) => {
  expect(eventsIn(frame(json))).toEqual([{ type: "stdout", data: BYTES }]);
});

test.each([1, 7, 1_000, 5_000])("a flood that arrives in parts of %d bytes is whole", (bytes) => {
  const data = Buffer.alloc(3_000, "0123456789");
  const all = Buffer.concat([
    encodeEnvelope({ event: { start: { pid: 7 } } }),
    encodeEnvelope({ event: { data: { stderr: data.toString("base64") } } }),
    encodeEnvelope({ event: { keepalive: {} } }),
    encodeEnvelope({ event: { end: { exitCode: 3 } } }),
  ]);
  const reader = new EnvelopeReader();
  const events = Array.from({ length: Math.ceil(all.length / bytes) }, (_, at) =>
    reader.push(all.subarray(at * bytes, (at + 1) * bytes)),
  );
  expect(events.flat().flatMap(({ message }) => eventOf(message) ?? [])).toEqual([
    { type: "start", pid: 7 },
    { type: "stderr", data },
    { type: "end", exitCode: 3, status: "" },
  ]);
});

test.each([
  '{"event":{"data":{"stdout":"eA=="}}',
  '{"event":{"data":{"stdout":"eA==',
  '{"event":{"data":{"stdout":7}}}',
])("what is no message is refused: %s", (json) => {
  expect(() => eventsIn(frame(json))).toThrow();
});

function eventsIn(bytes: Buffer): unknown[] {
  return new EnvelopeReader().push(bytes).map(({ message }) => eventOf(message));
}

function frame(json: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(Buffer.byteLength(json), 1);
  return Buffer.concat([head, Buffer.from(json)]);
}
