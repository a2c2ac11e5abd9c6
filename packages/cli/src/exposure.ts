import { isLoopback } from './loopback.ts'
import { enabled, type Settings } from './settings.ts'
import { UsageError } from './usage-error.ts'

/**
 * Sees that clients on other machines are not talked to in the clear by accident: without TLS everybody on the way reads
 * what they pull and the passwords and tokens that they send.
 *
 * @throws {UsageError} which names the ways out
 */
export function checkExposure(settings: Settings, host: string, isTls: boolean): void {
  if (isLoopback(host) || isTls || enabled(settings, 'insecureListen')) return
  const ways = 'a loopback address, or TLS (--tls-cert and --tls-key), or --insecure-listen to do without'
  throw new UsageError('listen', settings['listen'], ways)
}
