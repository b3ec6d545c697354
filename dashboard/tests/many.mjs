// Many jobs, and the way through all of them.

/** Enqueues this many jobs. */
export async function fill(server, count) {
  for (let begin = 0; begin < count; begin += 10_000) {
    await server.call("POST", "jobs/batch", Array.from({ length: Math.min(10_000, count - begin) }, (_, n) => ({ kind: "mail", queue: "post", args: { n: begin + n } })));
  }
}

/** Scrolls until the list says that it has all of them. Answers the most rows that stood in the document at once. */
export function toTheEnd(page, count) {
  return page.evaluate(async (count) => {
    const wanted = `${count.toLocaleString("en")} jobs listed`;
    let most = 0;
    for (let text = ""; !text.startsWith(wanted) || text.includes("so far"); text = document.querySelector(".bound")?.textContent ?? "") {
      scrollTo(0, document.documentElement.scrollHeight);
      await new Promise((resolve) => requestAnimationFrame(() => resolve()));
      most = Math.max(most, document.querySelectorAll("tr[data-id]").length);
    }
    return most;
  }, count);
}

/** Reads the processor time that the page's thread has taken, in milliseconds: a busy machine makes frames late, and costs none. */
export async function cpuOf(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  return async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration").value * 1_000;
  };
}

/** Drags the scrollbar to the end and turns the wheel back. Answers what each frame cost, in milliseconds. */
export async function scrollAll(page, cpu) {
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const costs = [];
  for (let step = 0, last = await cpu(); step <= 240; step++) {
    const to = step <= 120 ? (step / 120) * height : height - (step - 120) * 400;
    await page.evaluate((to) => {
      scrollTo(0, to);
      return new Promise((resolve) => requestAnimationFrame(() => resolve()));
    }, to);
    const now = await cpu();
    costs.push(now - last);
    last = now;
  }
  return costs;
}
