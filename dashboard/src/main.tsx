import { render } from "preact";
import { lazy, LocationProvider, Route, Router } from "preact-iso";
import { base } from "./api/call";
import { Frame } from "./frame";
import { Jobs } from "./pages/jobs/jobs";
import { Login } from "./pages/login";
import { Overview } from "./pages/overview/overview";
import { To } from "./parts/to";
import { me, meet } from "./session";
import { useTitle } from "./title";
import "./style/index.css";

const JobPage = lazy(() => import("./pages/job/job").then((page) => page.JobPage));
const Queues = lazy(() => import("./pages/queues/queues").then((page) => page.Queues));
const Errors = lazy(() => import("./pages/errors").then((page) => page.Errors));
const Workers = lazy(() => import("./pages/workers").then((page) => page.Workers));
const Schedules = lazy(() => import("./pages/schedules").then((page) => page.Schedules));
const Kinds = lazy(() => import("./pages/kinds").then((page) => page.Kinds));
const Access = lazy(() => import("./pages/access/access").then((page) => page.Access));
const Batches = lazy(() => import("./pages/batches").then((page) => page.Batches));

function App() {
  if (me.value === undefined) return <p class="soft meeting">Looking for the server …</p>;
  if (me.value === null) return <Login />;
  return (
    <Frame>
      <Router>
        <Route path={base} component={Overview} />
        <Route path={`${base}jobs`} component={Jobs} />
        <Route path={`${base}jobs/:id`} component={JobPage} />
        <Route path={`${base}queues`} component={Queues} />
        <Route path={`${base}errors`} component={Errors} />
        <Route path={`${base}schedules`} component={Schedules} />
        <Route path={`${base}workers`} component={Workers} />
        <Route path={`${base}kinds`} component={Kinds} />
        <Route path={`${base}batches`} component={Batches} />
        <Route path={`${base}access`} component={Access} />
        <Route path={`${base}login`} component={Overview} />
        <Route default component={NotFound} />
      </Router>
    </Frame>
  );
}

function NotFound() {
  useTitle("No such page");
  return (
    <>
      <h1>No such page</h1>
      <p>
        <To page="">Overview</To>
      </p>
    </>
  );
}

void meet();
const root = document.getElementById("app");
if (root !== null) {
  render(
    <LocationProvider scope={base}>
      <App />
    </LocationProvider>,
    root,
  );
}
