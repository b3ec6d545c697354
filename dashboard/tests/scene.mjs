// A server with the five services at work, on the stand-ins for what they talk to, and a worker of another language beside them.
// `FAKES_BIN` names the stand-ins' binary.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { claim, declare, present } from "./worker.mjs";
import { Server } from "../../clients/js/tests/server.mjs";

/** Starts it. `close` ends all of it. */
export async function startScene({ pace = 60 } = {}) {
  const fakes = spawn(process.env.FAKES_BIN, ["--listen", "127.0.0.1:0", "--pace", String(pace)], { stdio: ["ignore", "pipe", "ignore"] });
  const env = {};
  for await (const line of createInterface({ input: fakes.stdout })) {
    const [, name, value] = /^export (\w+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && name !== "AI_BRAIN_ENDPOINT") env[name] = value;
    if (line.startsWith("# export")) break;
  }
  fakes.stdout.resume();
  const server = await Server.start(undefined, { env });
  return {
    server,
    async close() {
      await server.close();
      fakes.kill();
    },
  };
}

/** Gives all of them work: some of it done, some under way, some that fails. Answers jobs that are worth a look. */
export async function act(server) {
  const token = server.token("--sub", "ada");
  const ask = async (path, body) => {
    const response = await fetch(`${server.url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, ...(body instanceof FormData ? {} : { "content-type": "application/json" }) },
      body: body instanceof FormData ? body : JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  for (const username of ["octocat", "torvalds", "gvanrossum", "dhh", "ghost-nobody"]) await ask("/api/v1/github/analyze", { username });
  await ask("/api/v1/github/analyze/batch", { usernames: ["octocat", "antirez", "ghost-writer", "matz"] });
  const course = await ask("/courses", { name: "Botany" });
  const upload = new FormData();
  upload.append("file", new Blob(["Leaves absorb light. Chlorophyll takes up the red and the blue of it. Roots take up water."]), "leaves.md");
  await ask(`/courses/${course.id}/materials`, upload);
  for (const topic of ["Photosynthesis", "Germination"]) await ask("/lessons", { subject: "Botany", topic, user_id: "ada", include_wikipedia: true });
  const skill = await ask("/skills", { name: "React Development", category: "Programming", type: "teaching", proficiency: 85 });
  const session = { teachSkillId: skill._id ?? skill.data?._id, focusKeywords: ["useState"], date: "2024-01-15", startTime: "14:00", endTime: "16:00", skillCategory: "Programming", isTeaching: true, isPublic: true };
  for (const title of ["React Hooks Masterclass", "State without tears"]) await ask("/sessions", { title, ...session });
  const modules = [
    { code: "DB1", title: "Databases", contactHours: 3, outcomes: ["Design a schema"] },
    { code: "NET1", title: "Networks", contactHours: 2 },
  ];
  const workflow = await ask("/api/v3/workflow", { title: "Applied Computing", modules });
  await ask(`/api/v3/workflow/${workflow._id ?? workflow.data?._id}/step10`, {});
  return shop(server);
}

/** The worker of the shop. */
const SHOP = {
  id: "shop-7f3a",
  process: "shop-7f3a",
  host: "shop-2",
  queues: [["mail", 4], ["images", 8], ["reports", 2]].map(([queue, slots]) => ({ queue, slots })),
  kinds: ["invoice.send", "image.resize", "report.build"].map((kind) => ({ kind, version: 1 })),
  version: "shop 2.4.0",
  started_at: new Date().toISOString(),
};

/** Keeps a second worker of the shop busy until the signal is aborted: some jobs a second come and go. */
export async function keepBusy(server, signal) {
  const worker = { id: "shop-9c21", process: "shop-9c21", host: "shop-3", queues: [{ queue: "mail", slots: 4 }], kinds: [{ kind: "invoice.remind", version: 1 }], version: "shop 2.4.1", started_at: new Date().toISOString() };
  for (let n = 0; !signal.aborted; n++) {
    const invoices = Array.from({ length: 1 + (n % 4) }, (_, at) => ({ kind: "invoice.remind", queue: "mail", args: { invoice: 20_262_000 + n * 4 + at } }));
    await server.call("POST", "jobs/batch", invoices);
    if (n % 8 === 0) await present(server, SHOP);
    await new Promise((resolve) => setTimeout(resolve, 120 + (n % 5) * 70));
    for (let run = await claim(server, "invoice.remind", "mail", { worker }); run !== undefined; run = await claim(server, "invoice.remind", "mail", { worker })) {
      const isBad = run.args.invoice % 17 === 0;
      await run.end(isBad ? { failed: { error: { message: `no address for invoice ${run.args.invoice}` } } } : { completed: { output: null } });
    }
  }
}

/** Jobs of a shop, taken by a worker that is written in JavaScript. */
async function shop(server) {
  const enqueue = (kind, queue, args, more = {}) => server.call("POST", "jobs", { kind, queue, args, ...more });
  for (const [kind, queue] of [["invoice.send", "mail"], ["image.resize", "images"], ["report.build", "reports"]]) await declare(server, kind, queue, SHOP);
  const jobs = Array.from({ length: 60 }, (_, n) => ({
    ...(n % 3 === 0
      ? { kind: "invoice.send", queue: "mail", args: { invoice: 20_261_100 + n, to: `customer-${n}@example.com` } }
      : { kind: "image.resize", queue: "images", args: { file: `photos/${1_000 + n}.jpg`, width: 640 } }),
    labels: { tenant: String(n % 4) },
    max_attempts: n % 5 === 0 ? 1 : 3,
  }));
  await server.call("POST", "jobs/batch", jobs);
  for (let n = 0; n < 16; n++) {
    const run = await claim(server, "invoice.send", "mail", { worker: SHOP });
    if (run === undefined) break;
    const isBad = n % 4 === 1;
    const error = { message: `failed to send invoice ${run.args.invoice}: smtp.example.com answered 450: "mailbox ${run.args.to} is full"` };
    const retry = { retry: { error, delay: 600 } };
    await run.end(isBad ? (n % 8 === 1 ? { failed: { error } } : retry) : { completed: { output: { sent: true } } });
  }
  for (let n = 0; n < 22; n++) {
    const run = await claim(server, "image.resize", "images", { worker: SHOP });
    if (run === undefined) break;
    await run.end(n % 7 === 3 ? { failed: { error: { message: `failed to read ${run.args.file}: premature end of the file at byte ${4_096 * n}` } } } : { completed: { output: { bytes: 48_211 + n } } });
  }
  for (let n = 0; n < 5; n++) {
    const run = await claim(server, "image.resize", "images", { worker: SHOP });
    await run?.say({ progress: { percent: 12 + 17 * n, message: "tile by tile" } });
  }
  await enqueue("invoice.send", "mail", { invoice: 20_261_200, to: "later@example.com" }, { delay: 7_200 });
  await enqueue("thumbnail.make", "images", { file: "photos/1.jpg" });

  // One that failed once, went on, and is under way.
  const { id } = await enqueue("report.build", "reports", { year: 2026, customer: 9_007_199_254_740_993n.toString(), format: "pdf" }, { labels: { tenant: "2" } });
  const first = await claim(server, "report.build", "reports", { worker: SHOP });
  await new Promise((resolve) => setTimeout(resolve, 350));
  await first.say({ step: { name: "load orders", output: 18_244, took: 0.35 } });
  await first.say({ log: { level: "info", message: "18,244 orders" } });
  await first.say({ log: { level: "warn", message: "the tax service is slow: 4.2 s" } });
  await first.end({ retry: { error: { message: "failed to ask the tax service: timed out after 5 s" }, delay: 0 } });
  const second = await claim(server, "report.build", "reports", { wait: 5, worker: SHOP });
  for (const [name, took] of [["ask the tax service", 1.1], ["total by month", 0.24], ["draw the charts", 1.6]]) {
    await new Promise((resolve) => setTimeout(resolve, took * 1_000));
    await second.say({ step: { name, output: null, took } });
    await second.say({ log: { level: "info", message: `${name}: done` } });
  }
  await second.say({ progress: { percent: 62, message: "page 31 of 50" } });
  for (const words of ["# Orders of 2026\n\n", "Orders grew by 14 % over the year before. ", "November was the strongest month, with 2,104 orders …"]) await second.say({ chunk: { data: words } });
  const batch = await server.call("GET", "jobs?state=blocked");
  return { report: id, batch: batch.jobs[0]?.id };
}
