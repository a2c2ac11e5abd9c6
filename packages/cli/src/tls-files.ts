import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ProxyTls } from '@layerlock/proxy'
import { parseInput, readInput } from './input-file.ts'
import { optional, type Settings } from './settings.ts'
import { UsageError } from './usage-error.ts'

/** A certificate, with those that lead to a root, and its key. Both PEM. */
interface KeyPair {
  readonly cert: string
  readonly key: string
}

/** A file, and the setting that names it. */
interface NamedFile {
  readonly setting: string
  readonly path: string | undefined
}

/** Reads the files of `--tls-cert` and `--tls-key`; undefined where neither is given. @throws {UsageError} */
export function readTls(settings: Settings): KeyPair | undefined {
  const file = (setting: string) => ({ setting, path: optional(settings, setting) })
  return readKeyPair(file('tlsCert'), file('tlsKey'))
}

/** Reads the files by which a proxy speaks https; undefined where none is given. @throws {UsageError} */
export function readProxyTls(settings: Settings): ProxyTls | undefined {
  const pair = readTls(settings)
  const clientCa = optional(settings, 'clientCa')
  if (clientCa === undefined) return pair
  if (pair === undefined) throw new UsageError('tlsCert', undefined, 'a file, because clientCa is given')
  return { ...pair, clientCa: readCertificates('clientCa', clientCa) }
}

/** Reads a certificate and its key; undefined where neither is given. @throws {UsageError} also where only one is */
export function readKeyPair(certFile: NamedFile, keyFile: NamedFile): KeyPair | undefined {
  const { setting: certSetting, path: certPath } = certFile
  const { setting: keySetting, path: keyPath } = keyFile
  if (certPath === undefined && keyPath === undefined) return undefined
  if (certPath === undefined) throw missingBeside(certSetting, keyFile)
  if (keyPath === undefined) throw missingBeside(keySetting, certFile)
  const cert = readInput(certSetting, certPath)
  const key = readInput(keySetting, keyPath)
  const parsedCert = parseInput(certSetting, certPath, 'a certificate as PEM', () => new X509Certificate(cert))
  const parsedKey = parseInput(keySetting, keyPath, 'a private key as PEM, not encrypted', () => createPrivateKey(key))
  if (!parsedCert.checkPrivateKey(parsedKey)) {
    throw new UsageError(keySetting, keyPath, `the key of the certificate in ${certSetting}, ${certPath}`)
  }
  return { cert, key }
}

/** One of the two is not given, and the other one may be no good either. */
function missingBeside(setting: string, given: NamedFile): UsageError {
  let also = ''
  try {
    readFileSync(given.path ?? '')
  } catch (error) {
    also = `, which cannot be read either (${(error as Error).message})`
  }
  return new UsageError(setting, undefined, `a file, because ${given.setting} is given${also}`)
}

/** Reads a file of one or more certificates, all of which are looked at. @throws {UsageError} */
export function readCertificates(setting: string, path: string): string {
  const text = readInput(setting, path)
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw new UsageError(setting, path, 'a file with at least one certificate as PEM')
  for (const block of blocks) parseInput(setting, path, 'certificates as PEM', () => new X509Certificate(block))
  return text
}
