import { join } from 'node:path'
import { LockServer, MemoryLockStore, SqliteLockStore } from '@layerlock/server'
import type { Command } from 'commander'
import { ensureFolder } from '../folder.ts'
import { type CliLogger, createLogger } from '../logger.ts'
import { serve, type Service } from '../serve.ts'
import { optional, required, type Settings, settingsOf } from '../settings.ts'
import { UsageError } from '../usage-error.ts'
import { parseAddress, readTokens } from '../values.ts'
import { createCommand, flag } from './common-options.ts'

/** `layerlock server`: a lock server. */
export function serverCommand(): Command {
  return createCommand('server', 'runs a lock server')
    .addOption(flag('--listen <host:port>', 'where to listen; port 0 takes any', '127.0.0.1:7400'))
    .addOption(flag('--data <dir>', 'the folder of what must outlive the process (required, but for --store memory)'))
    .addOption(flag('--store <store>', 'how it is kept: sqlite, or memory, which forgets it', 'sqlite'))
    .addOption(flag('--token-file <file>', 'bearer tokens, one a line, one of which each call must carry'))
    .action(async (_options: unknown, command: Command) => {
      const settings = settingsOf(command)
      const logger = createLogger(required(settings, 'logLevel', 'a level'))
      const store = readStore(settings)
      await serve(
        async (running) => [running.use(await startServer(settings, { listen: 'listen', store }, logger))],
        logger,
      )
    })
}

/** Where a lock server keeps its state. */
export type StoreChoice = { readonly kind: 'memory' } | { readonly kind: 'sqlite'; readonly folder: string }

function readStore(settings: Settings): StoreChoice {
  const store = required(settings, 'store', 'sqlite or memory')
  if (store === 'memory') return { kind: 'memory' }
  if (store !== 'sqlite') throw new UsageError('store', store, 'sqlite or memory')
  return { kind: 'sqlite', folder: required(settings, 'data', 'a folder, or --store memory to do without') }
}

/**
 * Starts a lock server as the settings say.
 *
 * @throws {UsageError} for a setting, and `StoreError` when the store cannot be used
 */
export async function startServer(
  settings: Settings,
  { listen, store }: { readonly listen: string; readonly store: StoreChoice },
  logger: CliLogger,
): Promise<Service> {
  const address = parseAddress(listen, required(settings, listen, 'HOST:PORT'))
  const tokenFile = optional(settings, 'tokenFile')
  const tokens = tokenFile === undefined ? [] : readTokens('tokenFile', tokenFile)
  const server = await LockServer.start({
    ...address,
    store:
      store.kind === 'memory'
        ? new MemoryLockStore()
        : SqliteLockStore.open(join(ensureFolder('data', store.folder), 'layerlock.db')),
    tokens,
    logger: logger.child({ part: 'server' }),
  })
  return { urls: { server: server.url }, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}
