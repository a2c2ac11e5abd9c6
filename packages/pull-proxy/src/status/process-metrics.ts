import { collectDefaultMetrics, Registry } from 'prom-client'

let registry: Registry | undefined

/**
 * What prom-client tells of the process and of Node. One for the process, however many proxies it has: what it sets up to
 * look at garbage collection and the event loop can never be taken down again. It keeps no process alive.
 */
export function processMetrics(): Registry {
  if (registry === undefined) {
    registry = new Registry()
    collectDefaultMetrics({ register: registry })
  }
  return registry
}
