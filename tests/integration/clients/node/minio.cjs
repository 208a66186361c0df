// What minio-js does for test_minio_js.py; the expectations stand there.
const { createHash } = require("node:crypto");
const { createReadStream } = require("node:fs");

async function sha256(stream) {
  const digest = createHash("sha256");
  for await (const chunk of stream) digest.update(chunk);
  return digest.digest("hex");
}

async function text(stream) {
  return Buffer.concat(await stream.toArray()).toString();
}

async function list(s3, bucket, prefix, recursive) {
  return (await s3.listObjectsV2(bucket, prefix, recursive).toArray()).map((one) => one.name ?? one.prefix);
}

async function names({ s3, bucket, names }) {
  await s3.putObject(bucket, names[0], "was here before");
  for (const name of names) await s3.putObject(bucket, name, name, undefined, { colour: "blue" });
  const read = [];
  for (const name of names) {
    const told = await s3.statObject(bucket, name);
    read.push([await text(await s3.getObject(bucket, name)), told.metaData.colour]);
  }
  const listed = await list(s3, bucket, "", true);
  const top = await list(s3, bucket, "", false);
  await s3.removeObjects(bucket, names);
  return { listed, read, top, left: await list(s3, bucket, "", true) };
}

async function streams({ s3, bucket, file, key }) {
  s3.partSize = 5 * 2 ** 20;
  const known = await s3.fPutObject(bucket, "known", file);
  const unknown = await s3.putObject(bucket, key, createReadStream(file));
  const range = await text(await s3.getPartialObject(bucket, key, 5, 7));
  return {
    etags: [known.etag, unknown.etag],
    sha256: [await sha256(await s3.getObject(bucket, "known")), await sha256(await s3.getObject(bucket, key))],
    range: range.length,
  };
}

async function links({ s3, bucket, key }) {
  const put = await s3.presignedPutObject(bucket, key, 600);
  const answer = await fetch(put, { method: "PUT", body: "put by link" });
  const get = await s3.presignedGetObject(bucket, key, 600);
  return { status: answer.status, body: await (await fetch(get)).text() };
}

async function refusals({ s3, bucket }) {
  const told = [];
  await s3.getObject(bucket, "gone").catch((error) => told.push(error.code));
  await s3.listBuckets().catch((error) => told.push(error.code));
  return told;
}

module.exports = { names, streams, links, refusals };
