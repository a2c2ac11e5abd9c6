import { EventType } from '@layerlock/protocol'
import { Counter, Gauge, type Registry } from 'prom-client'
import type { LockService } from '../service/lock-service.ts'

/** Adds what the service knows of itself. All but the events is looked up when somebody asks. */
export function addServiceMetrics(
  registry: Registry,
  service: LockService,
  eventReaders: { readonly count: number },
): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: `layerlock_server_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  const total = (name: string, help: string, read: () => number) =>
    new Counter({
      name: `layerlock_server_${name}_total`,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  const { sessions, parking, tally } = service
  gauge('sessions', 'Live sessions.', () => sessions.size)
  total('sessions_opened', 'Sessions opened, resumed ones included.', () => sessions.openedCount)
  total('sessions_expired', 'Sessions that ended without being closed.', () => sessions.expiredCount)
  gauge('keys', 'Keys of which anything is known.', () => tally.keys)
  gauge('holds', 'Leases and offers, over all keys.', () => tally.holds)
  gauge('waiters', 'Tickets in the queues of all keys.', () => tally.waiters)
  gauge('outcomes', 'Outcomes kept.', () => tally.outcomes)
  gauge('copies', 'Copies that sessions have announced.', () => tally.copies)
  gauge('parked_calls', 'Calls held back until their key changes.', () => parking.size)
  gauge('event_readers', 'Streams of GET /v1/events that are open.', () => eventReaders.count)
  addEventMetrics(registry, service)
}

function addEventMetrics(registry: Registry, { events }: LockService): void {
  const counts = new Map<EventType, number>(EventType.anyOf.map((type) => [type.const, 0]))
  const happened = new Counter({
    name: 'layerlock_server_events_total',
    help: 'What happened to keys, by the type that GET /v1/events tells.',
    labelNames: ['type'],
    registers: [],
    collect() {
      this.reset()
      for (const [type, count] of counts) this.inc({ type }, count)
    },
  })
  registry.registerMetric(happened)
  // For as long as the service lives: it, and not the server, owns the log.
  events.listen(({ event: { type } }) => void counts.set(type, counts.get(type)! + 1))
}
