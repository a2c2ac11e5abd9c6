import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { TlsOptions } from './recorded-server.ts'
import { runCommand } from './run-command.ts'

/** A key and its certificate, PEM, with the file for those who are to trust it. */
export interface SelfSignedCertificate extends TlsOptions {
  readonly certificatePath: string
}

/** Makes a certificate for loopback addresses that signs itself, with `openssl`. */
export async function createCertificate(folder: string): Promise<SelfSignedCertificate> {
  const keyPath = join(folder, 'key.pem')
  const certificatePath = join(folder, 'certificate.pem')
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.0.2'
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyPath]
  const certificate = ['-subj', '/CN=localhost', '-addext', names, '-days', '30', '-out', certificatePath]
  await runCommand('openssl', ['req', '-x509', ...key, ...certificate])
  return {
    key: await readFile(keyPath, 'utf8'),
    cert: await readFile(certificatePath, 'utf8'),
    certificatePath,
  }
}
