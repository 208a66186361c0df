// Runs one scenario with the client that the page's settings make, and prints what it returns as JSON.
const [, , settings, scenarios, scenario, bucket, given] = process.argv;
const { s3 } = require(settings);
require(scenarios)
  [scenario]({ s3, bucket, ...JSON.parse(given) })
  .then((told) => console.log(JSON.stringify(told ?? null)))
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
