import { runCommand } from '@layerlock/test-support'

/** The fields of a packed `package.json` that users depend on. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly description?: string
  readonly keywords?: readonly string[]
  readonly license?: string
  readonly type?: string
  readonly sideEffects?: boolean
  readonly exports?: Readonly<Record<string, Readonly<Record<'types' | 'default', string>>>>
  readonly bin?: Readonly<Record<string, string>>
  readonly engines?: Readonly<Record<string, string>>
  readonly publishConfig?: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** A package as the registry gets it. */
export interface Tarball {
  /** The file. */
  readonly path: string
  /** What is in it, without the leading `package/`. */
  readonly files: readonly string[]
  readonly manifest: Manifest
}

/** Reads what is in a tarball. */
export async function readTarball(path: string): Promise<Tarball> {
  const { stdout: list } = await runCommand('tar', ['-tzf', path])
  const { stdout: manifest } = await runCommand('tar', ['-xzOf', path, 'package/package.json'])
  const files = list.split('\n').filter((line) => line !== '' && !line.endsWith('/'))
  return {
    path,
    files: files.map((file) => file.replace(/^package\//, '')),
    manifest: JSON.parse(manifest) as Manifest,
  }
}

/** Puts the files of a tarball into a folder that is there. */
export async function extractTarball({ path }: Tarball, folder: string): Promise<void> {
  await runCommand('tar', ['-xzf', path, '-C', folder, '--strip-components', '1'])
}
