import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { TlsIdentity } from '@layerlock/server'
import { optional, type Settings } from './settings.ts'
import { UsageError } from './usage-error.ts'

/** Reads the files of `--tls-cert` and `--tls-key`; undefined where neither is given. @throws {UsageError} */
export function readTls(settings: Settings): TlsIdentity | undefined {
  const certPath = optional(settings, 'tlsCert')
  const keyPath = optional(settings, 'tlsKey')
  if (certPath === undefined && keyPath === undefined) return undefined
  if (certPath === undefined) throw new UsageError('tlsCert', undefined, 'a file, because tlsKey is given')
  if (keyPath === undefined) throw new UsageError('tlsKey', undefined, 'a file, because tlsCert is given')
  const cert = readText('tlsCert', certPath)
  const key = readText('tlsKey', keyPath)
  const parsedCert = parse('tlsCert', certPath, 'a certificate as PEM', () => new X509Certificate(cert))
  const parsedKey: KeyObject = parse('tlsKey', keyPath, 'a private key as PEM, not encrypted', () =>
    createPrivateKey(key),
  )
  if (!parsedCert.checkPrivateKey(parsedKey)) {
    throw new UsageError('tlsKey', keyPath, `the key of the certificate in tlsCert, ${certPath}`)
  }
  return { cert, key }
}

function readText(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(setting, path, `a file that can be read (${(error as Error).message})`)
  }
}

function parse<T>(setting: string, path: string, allowed: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new UsageError(setting, path, `${allowed} (${(error as Error).message})`)
  }
}
