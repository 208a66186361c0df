// What the AWS SDK for JavaScript does for test_aws_sdk_js.py; the expectations stand there.
const { createHash } = require("node:crypto");
const { createReadStream } = require("node:fs");
const sdk = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

async function sha256(stream) {
  const digest = createHash("sha256");
  for await (const chunk of stream) digest.update(chunk);
  return digest.digest("hex");
}

async function names({ s3, bucket, names }) {
  await s3.send(new sdk.PutObjectCommand({ Bucket: bucket, Key: names[0], Body: "was here before" }));
  for (const Key of names) {
    await s3.send(new sdk.PutObjectCommand({ Bucket: bucket, Key, Body: Key, Metadata: { colour: "blue" } }));
  }
  const listed = [];
  for await (const page of sdk.paginateListObjectsV2({ client: s3, pageSize: 4 }, { Bucket: bucket })) {
    listed.push(...page.Contents.map((one) => one.Key));
  }
  const read = [];
  for (const Key of names) {
    const got = await s3.send(new sdk.GetObjectCommand({ Bucket: bucket, Key }));
    read.push([await got.Body.transformToString(), got.Metadata.colour]);
  }
  const level = await s3.send(new sdk.ListObjectsV2Command({ Bucket: bucket, Delimiter: "/" }));
  const Objects = names.map((Key) => ({ Key }));
  const gone = await s3.send(new sdk.DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }));
  const prefixes = level.CommonPrefixes.map((one) => one.Prefix);
  return { listed, read, prefixes, deleted: gone.Deleted.map((one) => one.Key) };
}

async function parts({ s3, bucket, file, key }) {
  const params = { Bucket: bucket, Key: key, Body: createReadStream(file) };
  const done = await new Upload({ client: s3, params, partSize: 5 * 2 ** 20, queueSize: 3 }).done();
  const got = await s3.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: key }));
  const range = await s3.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: key, Range: "bytes=5-11" }));
  const bytes = Buffer.from(await range.Body.transformToByteArray()).toString("hex");
  return { etag: done.ETag, length: got.ContentLength, sha256: await sha256(got.Body), range: bytes };
}

async function streams({ s3, bucket, file, length, key }) {
  const given = { Bucket: bucket, Key: key, Body: createReadStream(file), ContentLength: length };
  await s3.send(new sdk.PutObjectCommand(given));
  const head = await s3.send(new sdk.HeadObjectCommand({ Bucket: bucket, Key: key, ChecksumMode: "ENABLED" }));
  const copy = { Bucket: bucket, Key: "copy", CopySource: encodeURI(`${bucket}/${key}`) };
  await s3.send(new sdk.CopyObjectCommand(copy));
  const got = await s3.send(new sdk.GetObjectCommand({ Bucket: bucket, Key: "copy" }));
  return { crc32: head.ChecksumCRC32, sha256: await sha256(got.Body) };
}

async function links({ s3, bucket, key }) {
  const place = { Bucket: bucket, Key: key };
  const put = await getSignedUrl(s3, new sdk.PutObjectCommand(place), { expiresIn: 600 });
  const get = await getSignedUrl(s3, new sdk.GetObjectCommand(place), { expiresIn: 600 });
  const answer = await fetch(put, { method: "PUT", body: "put by link" });
  return { status: answer.status, body: await (await fetch(get)).text() };
}

async function refusals({ s3, bucket }) {
  const told = [];
  for (const command of [
    new sdk.GetObjectCommand({ Bucket: bucket, Key: "gone" }),
    new sdk.HeadObjectCommand({ Bucket: bucket, Key: "gone" }),
    new sdk.ListObjectsV2Command({ Bucket: "no-such-bucket-here" }),
  ]) {
    await s3.send(command).catch((error) => told.push([error.name, error.$metadata.httpStatusCode]));
  }
  return told;
}

module.exports = { names, parts, streams, links, refusals };
