import { render } from "preact";
import { lazy, LocationProvider, Route, Router, useLocation } from "preact-iso";
import { base } from "./api";
import { Jobs } from "./pages/jobs";
import { Overview } from "./pages/overview";
import { To } from "./parts";

const JobPage = lazy(() => import("./pages/job").then((page) => page.JobPage));
const Queues = lazy(() => import("./pages/queues").then((page) => page.Queues));
const Workers = lazy(() => import("./pages/workers").then((page) => page.Workers));

const PAGES = [
  ["", "Overview"],
  ["jobs", "Jobs"],
  ["queues", "Queues"],
  ["workers", "Workers"],
] as const;

function Frame() {
  const { path } = useLocation();
  const page = path.slice(base.length).split("/")[0] ?? "";
  return (
    <>
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header>
        <To page="" class="brand">
          Longhaul
        </To>
        <nav aria-label="Pages">
          {PAGES.map(([name, title]) => (
            <To key={name} page={name} {...(name === page && { "aria-current": "page" as const })}>
              {title}
            </To>
          ))}
        </nav>
      </header>
      <main id="content" tabIndex={-1}>
        <Router>
          <Route path={base} component={Overview} />
          <Route path={`${base}jobs`} component={Jobs} />
          <Route path={`${base}jobs/:id`} component={JobPage} />
          <Route path={`${base}queues`} component={Queues} />
          <Route path={`${base}workers`} component={Workers} />
          <Route default component={NotFound} />
        </Router>
      </main>
    </>
  );
}

function NotFound() {
  return (
    <>
      <h1>No such page</h1>
      <p>
        <To page="jobs">All jobs</To>
      </p>
    </>
  );
}

const root = document.getElementById("app");
if (root !== null) {
  render(
    <LocationProvider scope={base}>
      <Frame />
    </LocationProvider>,
    root,
  );
}
