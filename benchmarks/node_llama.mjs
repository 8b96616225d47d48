// What benchmarks.ceiling asks of node-llama-cpp: one JSON request per line in, one answer out.
import {createInterface} from "node:readline";
import {getLlama} from "node-llama-cpp";

const [file, threads] = process.argv.slice(2);
const llama = await getLlama({gpu: false, build: "never", logLevel: "error", maxThreads: +threads});
const model = await llama.loadModel({modelPath: file});

/** Greedy replies of all prompts at once; when each token was there, milliseconds from the request. */
async function replies(prompts, count) {
  const longest = Math.max(...prompts.map((ids) => ids.length));
  const context = await model.createContext({
    sequences: prompts.length,
    contextSize: longest + count + 16,
    batchSize: 512,
    threads: +threads,
  });
  const sequences = prompts.map(() => context.getSequence());
  const started = performance.now();
  const times = await Promise.all(sequences.map(async (sequence, chat) => {
    const seen = [];
    for await (const _ of sequence.evaluate(prompts[chat], {temperature: 0, yieldEogToken: true})) {
      seen.push((performance.now() - started) / 1000);
      if (seen.length === count) break;
    }
    return seen;
  }));
  await context.dispose();
  return times;
}

for await (const line of createInterface({input: process.stdin})) {
  const {prompts, count} = JSON.parse(line);
  console.log(JSON.stringify(await replies(prompts, count)));
}
process.exit(0);
