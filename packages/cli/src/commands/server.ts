import { LockServer, MemoryLockStore } from '@layerlock/server'
import type { Command } from 'commander'
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
    .addOption(flag('--data <dir>', 'where to keep what must outlive the process (the memory store keeps nothing)'))
    .addOption(flag('--store <store>', 'how to keep it: memory', 'memory'))
    .addOption(flag('--token-file <file>', 'bearer tokens, one a line, one of which each call must carry'))
    .action(async (_options: unknown, command: Command) => {
      const settings = settingsOf(command)
      const logger = createLogger(required(settings, 'logLevel', 'a level'))
      await serve(async (running) => [running.use(await startServer(settings, 'listen', logger))], logger)
    })
}

/** Starts a lock server as the settings say. @throws {UsageError} */
export async function startServer(settings: Settings, listen: string, logger: CliLogger): Promise<Service> {
  const store = required(settings, 'store', 'memory')
  if (store !== 'memory') throw new UsageError('store', store, 'memory')
  const tokenFile = optional(settings, 'tokenFile')
  const server = await LockServer.start({
    ...parseAddress(listen, required(settings, listen, 'HOST:PORT')),
    store: new MemoryLockStore(),
    tokens: tokenFile === undefined ? [] : readTokens('tokenFile', tokenFile),
    logger: logger.child({ part: 'server' }),
  })
  return { urls: { server: server.url }, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}
