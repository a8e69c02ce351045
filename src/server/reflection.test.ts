import { create, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import {
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
} from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { RolloutService } from "../gen/sandlot/v1/rollout_service_pb.ts";
import { someCall } from "./call.fixture.ts";
import { reflection } from "./reflection.ts";

test("the services are listed", async () => {
  const [answer] = await ask({ case: "listServices", value: "" });
  expect(answer).toMatchObject({
    case: "listServicesResponse",
    value: { service: [{ name: "sandlot.v1.RolloutService" }, { name: "grpc.health.v1.Health" }] },
  });
});

test.each(["sandlot.v1.RolloutService", "sandlot.v1.RolloutService.Create", "sandlot.v1.CreateRequest"])(
  "the file of %s comes with all that it imports, itself first",
  async (symbol) => {
    const files = await fileNames({ case: "fileContainingSymbol", value: symbol });
    expect(files[0]).toBe("sandlot/v1/rollout_service.proto");
    expect(files).toContain("sandlot/v1/grade.proto");
    expect(files).toContain("google/protobuf/timestamp.proto");
  },
);

test("what stands in the details of an error is found too", async () => {
  for (const symbol of ["google.rpc.ErrorInfo", "google.rpc.RetryInfo", "sandlot.v1.TrajectoryEnded"]) {
    expect(await fileNames({ case: "fileContainingSymbol", value: symbol })).not.toEqual([]);
  }
});

test("a file is found by its name, and an unknown one is an error in words", async () => {
  expect(await fileNames({ case: "fileByFilename", value: "sandlot/v1/grade.proto" })).toEqual([
    "sandlot/v1/grade.proto",
  ]);
  const [answer] = await ask({ case: "fileByFilename", value: "no.proto" });
  expect(answer).toMatchObject({ case: "errorResponse", value: { errorCode: 5 } });
});

type Asked = ServerReflectionRequest["messageRequest"];

async function ask(messageRequest: Asked) {
  async function* requests() {
    yield create(ServerReflectionRequestSchema, { messageRequest });
  }
  const { serverReflectionInfo } = reflection([RolloutService, Health]);
  const answers = [];
  for await (const answer of serverReflectionInfo(requests(), someCall())) answers.push(answer.messageResponse);
  return answers;
}

async function fileNames(asked: Asked): Promise<string[]> {
  const [answer] = await ask(asked);
  if (answer?.case !== "fileDescriptorResponse") return [];
  const protos = answer.value.fileDescriptorProto ?? [];
  return protos.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
}
