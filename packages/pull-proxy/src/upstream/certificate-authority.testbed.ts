import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand, type TlsOptions } from '@layerlock/test-support'

/** Signs certificates that nobody trusts who is not told to. */
export interface CertificateAuthority {
  /** PEM. */
  readonly cert: string
  /** A key and a certificate for a DNS name, or for an address. */
  issue(name: string): Promise<TlsOptions>
}

export async function createAuthority(folder: string): Promise<CertificateAuthority> {
  const ca = { key: join(folder, 'ca-key.pem'), cert: join(folder, 'ca.pem') }
  const isAuthority = ['-addext', 'keyUsage=critical,keyCertSign']
  await runCommand('openssl', [
    'req',
    '-x509',
    ...newKey(ca.key),
    '-subj',
    '/CN=authority',
    ...isAuthority,
    '-out',
    ca.cert,
  ])
  return {
    cert: await readFile(ca.cert, 'utf8'),
    async issue(name) {
      const base = join(folder, name)
      const [key, request, extensions, cert] = ['key', 'csr', 'ext', 'pem'].map((kind) => `${base}.${kind}`) as [
        string,
        string,
        string,
        string,
      ]
      await writeFile(extensions, `subjectAltName=${/^[\d.]+$/.test(name) ? 'IP' : 'DNS'}:${name}\n`)
      await runCommand('openssl', ['req', '-new', ...newKey(key), '-subj', `/CN=${name}`, '-out', request])
      const signed = ['-CA', ca.cert, '-CAkey', ca.key, '-set_serial', String(serial++), '-extfile', extensions]
      await runCommand('openssl', ['x509', '-req', '-in', request, ...signed, '-out', cert])
      return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') }
    },
  }
}

let serial = 1

function newKey(path: string): string[] {
  return ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', path]
}
