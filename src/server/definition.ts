import { type DescMessage, type DescService, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { ServiceDefinition } from "@grpc/grpc-js";

/** What a request is when its bytes are not the message they should be; the adapter answers it as `invalid`. */
export class Malformed {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** A protobuf-es service as grpc-js wants it, for servers and clients alike: paths and (de)serialisers. A server's answers are bytes already: what cannot be encoded shows where it is made. */
export function serviceDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map(({ localName, name, methodKind, input, output }) => [
      localName,
      {
        path: `/${service.typeName}/${name}`,
        requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
        responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
        requestSerialize: (message: Message) => encode(input, message),
        requestDeserialize: decodeRequest(input),
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
      },
    ]),
  );
}

const decodeRequest = (type: DescMessage) => (bytes: Buffer) => {
  try {
    return fromBinary(type, bytes);
  } catch (error) {
    return new Malformed(`expected a ${type.typeName}: ${error instanceof Error ? error.message : String(error)}`);
  }
};

export function encode(type: DescMessage, message: Message): Buffer {
  const bytes = toBinary(type, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
