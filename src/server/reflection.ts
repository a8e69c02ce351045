import { createRegistry, type DescFile, type DescService, type Registry, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { file_google_rpc_error_details } from "../gen/google/rpc/error_details_pb.ts";
import type { ServerReflection, ServerReflectionRequest } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import type { Handlers } from "./adapter.ts";
import { Malformed } from "./definition.ts";

/** grpc.reflection.v1 over the descriptors that protobuf-es holds already, and those of what stands in the details of errors. */
export function reflection(services: readonly DescService[]): Handlers<typeof ServerReflection> {
  const files = withImports([...services.map((service) => service.file), file_google_rpc_error_details]);
  const registry = createRegistry(...files.values());
  return {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        if (request instanceof Malformed) continue;
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(request.messageRequest, { services, files, registry }),
        };
      }
    },
  };
}

interface Known {
  readonly services: readonly DescService[];
  readonly files: ReadonlyMap<string, DescFile>;
  readonly registry: Registry;
}

function answer(asked: ServerReflectionRequest["messageRequest"], { services, files, registry }: Known) {
  switch (asked.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: services.map((s) => ({ name: s.typeName })) } } as const;
    case "fileByFilename":
      return encoded(files.get(asked.value), asked.value);
    case "fileContainingSymbol":
      return encoded(fileOf(registry, asked.value), asked.value);
    default:
      return failure(status.NOT_FOUND, "no extensions are used here");
  }
}

function encoded(file: DescFile | undefined, what: string) {
  if (!file) return failure(status.NOT_FOUND, `${what} not found`);
  const protos = [...withImports([file]).values()]
    .reverse()
    .map((each) => toBinary(FileDescriptorProtoSchema, each.proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: protos } } as const;
}

const failure = (errorCode: number, errorMessage: string) =>
  ({ case: "errorResponse", value: { errorCode, errorMessage } }) as const;

/** The files and all they import, imports first. */
function withImports(roots: readonly DescFile[]): Map<string, DescFile> {
  const files = new Map<string, DescFile>();
  const visit = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    file.dependencies.forEach(visit);
    files.set(file.proto.name, file);
  };
  roots.forEach(visit);
  return files;
}

/** A method, field or enum value is found through the type that holds it. */
function fileOf(registry: Registry, symbol: string): DescFile | undefined {
  return registry.get(symbol)?.file ?? registry.get(symbol.replace(/\.[^.]+$/, ""))?.file;
}
