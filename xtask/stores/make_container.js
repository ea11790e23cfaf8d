// Makes a container in an emulator of Azure Blob Storage; that there is one already is fine.
// Arguments: URL of the service, account, its key, container. The request is signed as "Authorize with Shared Key" says.
const crypto = require("node:crypto");
const http = require("node:http");

const [service, account, key, container] = process.argv.slice(2);
const date = new Date().toUTCString();
const version = "2021-08-06";
const signed = [
  "PUT", "", "", "", "", "", "", "", "", "", "", "",
  `x-ms-date:${date}`, `x-ms-version:${version}`,
  `/${account}/${account}/${container}`, "restype:container",
].join("\n");
const signature = crypto.createHmac("sha256", Buffer.from(key, "base64")).update(signed, "utf8").digest("base64");
const request = http.request(`${service}/${account}/${container}?restype=container`, {
  method: "PUT",
  headers: {
    "x-ms-date": date,
    "x-ms-version": version,
    "Content-Length": "0",
    Authorization: `SharedKey ${account}:${signature}`,
  },
}, (answer) => {
  let text = "";
  answer.on("data", (data) => { text += data; });
  answer.on("end", () => {
    if (answer.statusCode !== 201 && answer.statusCode !== 409) {
      console.error(`${answer.statusCode}: ${text}`);
      process.exitCode = 1;
    }
  });
});
request.on("error", (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
request.end();
