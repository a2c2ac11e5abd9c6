import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Command } from 'commander'
import { ensureFolder } from '../folder.ts'
import { createLogger } from '../logger.ts'
import { serve } from '../serve.ts'
import { required, settingsOf } from '../settings.ts'
import { createCommand, flag } from './common-options.ts'
import { addPullFlags, readProxyOptions, startProxy } from './proxy.ts'
import { startServer } from './server.ts'

/** `layerlock up`: a lock server and a pull proxy in one process, for one machine. */
export function upCommand(): Command {
  return addPullFlags(createCommand('up', 'runs a lock server and a pull proxy in one process, for one machine'))
    .addOption(flag('--server-listen <host:port>', 'where the lock server listens; port 0 takes any', '127.0.0.1:7400'))
    .action(async (_options: unknown, command: Command) => {
      const settings = settingsOf(command)
      const logger = createLogger(required(settings, 'logLevel', 'a level'))
      // All is looked at before anything is started.
      const options = readProxyOptions(settings)
      await serve(async (running) => {
        // First, because the lock server's makes those above it readable for others.
        const folder = join(ensureFolder('store', options.store), 'lock-server')
        const store = { kind: 'sqlite', folder } as const
        // The certificate is for the clients of the proxy; the two parts talk to each other within the machine.
        const ofServer = { ...settings, tlsCert: undefined, tlsKey: undefined }
        const server = running.use(await startServer(ofServer, { listen: 'serverListen', store }, logger))
        // There are no other nodes: nobody else has the token.
        const clusterToken = randomBytes(32).toString('base64url')
        const lockServer = { url: server.urls['server']! }
        const proxy = running.use(await startProxy(settings, { ...options, lockServer, clusterToken }, logger))
        return [server, proxy]
      }, logger)
    })
}
