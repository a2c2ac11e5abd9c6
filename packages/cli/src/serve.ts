import type { CliLogger } from './logger.ts'

/** Something that runs until it is told to stop. */
export interface Service extends AsyncDisposable {
  /** Where it listens, by name. */
  readonly urls: Readonly<Record<string, string | undefined>>
  /** Reads its files again, and says in the log what came of it. A service without it has none that can be. */
  readonly reread?: (() => void) | undefined
}

/**
 * Runs services until SIGTERM or SIGINT, then stops them in the opposite order. A second signal ends at once. At a SIGHUP
 * they read their files again; it never ends the process, whoever sends it.
 */
export async function serve(
  start: (running: AsyncDisposableStack) => Promise<Service[]>,
  logger: CliLogger,
): Promise<void> {
  await using running = new AsyncDisposableStack()
  const { promise: told, resolve } = Promise.withResolvers<NodeJS.Signals>()
  let isTold = false
  const onSignal = (signal: NodeJS.Signals) => {
    if (isTold) process.exit(1)
    isTold = true
    resolve(signal)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, onSignal)
    running.defer(() => void process.off(signal, onSignal))
  }
  let services: readonly Service[] = []
  const onHangUp = () => {
    const rereading = services.filter(({ reread }) => reread !== undefined)
    if (rereading.length === 0) logger.info({ signal: 'SIGHUP' }, 'there is nothing to read again')
    for (const { reread } of rereading) reread?.()
  }
  process.on('SIGHUP', onHangUp)
  running.defer(() => void process.off('SIGHUP', onHangUp))
  services = await start(running)
  for (const { urls } of services) {
    for (const [name, url] of Object.entries(urls)) if (url !== undefined) logger.info({ name, url }, 'listening')
  }
  logger.info('ready')
  const signal = await told
  logger.info({ signal }, 'stopping')
  await running.disposeAsync()
  logger.info('stopped')
}
