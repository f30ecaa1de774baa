# For workerd itself. On Cloudflare, and for `wrangler dev`, wrangler.toml says the same.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "registry", worker = .registry)],
  sockets = [(name = "http", address = "127.0.0.1:8080", http = (), service = "registry")],
);

const registry :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "dist/worker.js")],
  compatibilityDate = "2025-09-01",
  compatibilityFlags = ["nodejs_compat"],
  bindings = [
    (name = "ACCESS_KEY", fromEnvironment = "ACCESS_KEY"),
    (name = "REGISTRY", durableObjectNamespace = "Registry"),
  ],
  durableObjectNamespaces = [(className = "Registry", uniqueKey = "bpbroker-registry")],
  durableObjectStorage = (inMemory = void),
);
