import {
  createRegistry,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { file_sandlot_v1_rollout_service } from "../gen/sandlot/v1/rollout_service_pb.ts";

const registry = createRegistry(file_sandlot_v1_rollout_service, ...file_sandlot_v1_rollout_service.dependencies);

/** A message as the CLI prints it: field names as in the proto, enum values without their prefix, bytes in base64. */
export function plain(message: Message): JsonObject {
  const type = registry.getMessage(message.$typeName);
  if (!type) throw new TypeError(`${message.$typeName} is no message of this service`);
  const json = toJson(type, message, { registry, useProtoFieldName: true, alwaysEmitImplicit: true });
  return shortened(json, type) as JsonObject; // an object goes in, an object comes out
}

function shortened(value: JsonValue, type: DescMessage): JsonValue {
  if (!isObject(value) || type.typeName.startsWith("google.")) return value;
  const fields = new Map(type.fields.map((field) => [field.name, field]));
  return Object.fromEntries(
    Object.entries(value).map(([name, part]) => {
      const field = fields.get(name);
      return [name, field ? withShortWords(part, field) : part];
    }),
  );
}

function withShortWords(value: JsonValue, field: DescField): JsonValue {
  const prefix = field.enum?.sharedPrefix?.toUpperCase();
  const each = (part: JsonValue): JsonValue => {
    if (prefix !== undefined && typeof part === "string") return part.replace(prefix, "");
    return field.message ? shortened(part, field.message) : part;
  };
  if (Array.isArray(value)) return value.map(each);
  if (field.fieldKind === "map" && isObject(value))
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, each(part)]));
  return each(value);
}

const isObject = (value: JsonValue): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);
