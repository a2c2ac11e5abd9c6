import { join } from 'node:path'
import {
  type LegacyApiOptions,
  LockServer,
  type LockServerOptions,
  type LockStore,
  MemoryLockStore,
  SqliteLockStore,
} from '@layerlock/server'
import type { Command } from 'commander'
import { ensureFolder } from '../folder.ts'
import { type CliLogger, createLogger } from '../logger.ts'
import { type Rereadable, rereadAll } from '../reread.ts'
import { serve, type Service } from '../serve.ts'
import { enabled, optional, required, type Settings, settingsOf } from '../settings.ts'
import { readTls } from '../tls-files.ts'
import { readTokens } from '../token-file.ts'
import { UsageError } from '../usage-error.ts'
import { parseAddress, parseCount, parseDuration, parseSize } from '../values.ts'
import { createCommand, flag } from './common-options.ts'

/** `layerlock server`: a lock server. */
export function serverCommand(): Command {
  return createCommand('server', 'runs a lock server')
    .addOption(flag('--listen <host:port>', 'where to listen; port 0 takes any', '127.0.0.1:7400'))
    .addOption(flag('--data <dir>', 'the folder of what must outlive the process (required, but for --store memory)'))
    .addOption(flag('--store <store>', 'how it is kept: sqlite, or memory, which forgets it', 'sqlite'))
    .addOption(
      flag(
        '--token-file <file>',
        'bearer tokens, one a line with an optional role: client (default) or operator; read again on SIGHUP',
      ),
    )
    .addOption(flag('--tls-cert <file>', 'serve https with this certificate (PEM); read again on SIGHUP'))
    .addOption(flag('--tls-key <file>', 'the key of the certificate (PEM)'))
    .addOption(flag('--max-body <size>', 'the largest request body', '1MiB'))
    .addOption(flag('--max-value <size>', 'the largest value of an outcome, as JSON; at most --max-body', '64KiB'))
    .addOption(flag('--max-queue <count>', 'the longest queue of one key', '100000'))
    .addOption(flag('--max-keys <count>', 'the most keys that may be known at a time', '1000000'))
    .addOption(flag('--max-sessions <count>', 'the most live sessions', '100000'))
    .addOption(flag('--legacy-api', 'serve the protocol of the lock before layerlock as well (docs/legacy-api.md)'))
    .addOption(flag('--legacy-retain <duration>', 'how long a pull of an old node is told as done', '10m'))
    .addOption(flag('--legacy-hold <duration>', 'after which a hold of an old node ends as failed', '10m'))
    .addOption(flag('--drain <duration>', 'how long running calls may take to finish when the server stops', '5s'))
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
  const tls = readTls(settings)
  const options = {
    ...address,
    ...limitsOf(settings),
    tokens: tokenFile === undefined ? [] : readTokens('tokenFile', tokenFile),
    tls,
    legacy: readLegacy(settings),
    logger: logger.child({ part: 'server' }),
  }
  const server = await startOn(listen, { ...options, store: openStore(store) })
  const files: Rereadable[] = []
  if (tls !== undefined) files.push(certificateOf(server, settings))
  if (tokenFile !== undefined) files.push(tokensOf(server, tokenFile))
  return {
    urls: { server: server.url },
    reread: files.length === 0 ? undefined : () => rereadAll(files, logger),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** @throws {Error} naming the setting, when its address is taken or not this machine's */
async function startOn(setting: string, options: LockServerOptions): Promise<LockServer> {
  try {
    return await LockServer.start(options)
  } catch (error) {
    const { syscall, message } = error as NodeJS.ErrnoException
    if (syscall !== 'listen' && syscall !== 'getaddrinfo') throw error
    throw new Error(`${setting}: cannot listen on ${options.host}:${options.port} (${message})`, { cause: error })
  }
}

/** The earlier wire form, where it is asked for. Durations are looked at anyway: a wrong one is a mistake. */
function readLegacy(settings: Settings): LegacyApiOptions | undefined {
  const read = (name: string) => {
    const text = optional(settings, name) ?? '10m'
    const ms = parseDuration(name, text)
    if (ms === 0) throw new UsageError(name, text, 'more than 0s')
    return ms
  }
  const legacy = { retainMs: read('legacyRetain'), holdMs: read('legacyHold') }
  return enabled(settings, 'legacyApi') ? legacy : undefined
}

function certificateOf(server: LockServer, settings: Settings): Rereadable {
  const reread = () => {
    server.replaceTls(readTls(settings)!)
    return {}
  }
  return { what: 'certificate', otherwise: 'the one before stays', reread }
}

function tokensOf(server: LockServer, path: string): Rereadable {
  const reread = () => {
    const tokens = readTokens('tokenFile', path)
    server.replaceTokens(tokens)
    return { tokens: tokens.length }
  }
  return { what: 'tokens', otherwise: 'those before stay', reread }
}

function openStore(store: StoreChoice): LockStore {
  if (store.kind === 'memory') return new MemoryLockStore()
  return SqliteLockStore.open(join(ensureFolder('data', store.folder), 'layerlock.db'))
}

/** What a server takes on, as far as the settings say. */
function limitsOf(settings: Settings) {
  const read = (name: string, parse: (setting: string, text: string) => number) => {
    const text = optional(settings, name)
    return text === undefined ? undefined : parse(name, text)
  }
  const maxQueue = read('maxQueue', parseCount)
  const maxKeys = read('maxKeys', parseCount)
  const maxValueBytes = read('maxValue', parseSize)
  const maxSessions = read('maxSessions', parseCount)
  const maxBodyBytes = read('maxBody', parseSize)
  if (maxValueBytes !== undefined && maxBodyBytes !== undefined && maxValueBytes > maxBodyBytes) {
    // It would have no effect: a value comes in a body.
    throw new UsageError('maxValue', settings['maxValue'], `at most maxBody, which is ${optional(settings, 'maxBody')}`)
  }
  return {
    maxBodyBytes,
    drainMs: read('drain', parseDuration),
    settings: maxQueue === undefined ? {} : { maxQueue },
    limits: {
      ...(maxKeys === undefined ? {} : { maxKeys }),
      ...(maxValueBytes === undefined ? {} : { maxValueBytes }),
      ...(maxSessions === undefined ? {} : { maxSessions }),
    },
  }
}
