import { globSync, readFileSync } from 'node:fs'
import { cp, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type CommandOutput, runCommand } from '@layerlock/test-support'
import { extractTarball, type Manifest, type Tarball } from './tarball.ts'

const ROOT = join(import.meta.dirname, '..', '..')

/** The folder in the checkout of each package, by its name. */
const FOLDERS = new Map(
  globSync('packages/*/package.json', { cwd: ROOT }).map((file) => {
    const { name } = JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as Manifest
    return [name, join(ROOT, dirname(file))] as const
  }),
)

/** Compiler options by name, as in a `tsconfig.json`. */
export type CompilerOptions = Readonly<Record<string, unknown>>

/** What every variant of the consumer is compiled with. */
const COMPILER_OPTIONS: CompilerOptions = {
  strict: true,
  skipLibCheck: false,
  target: 'es2024',
  lib: ['es2024', 'esnext.disposable'],
  types: ['node'],
}

/** A user's project that has the packed packages installed. Nothing in it leads to the sources of the checkout. */
export class ConsumerProject {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  /** Installs as npm does, but without a registry: what the packages depend on is linked from the checkout. */
  static async create(folder: string, tarballs: readonly Tarball[]): Promise<ConsumerProject> {
    await cp(join(import.meta.dirname, 'consumer'), folder, { recursive: true })
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
    const modules = join(folder, 'node_modules')
    await link(join(ROOT, 'node_modules', '@types', 'node'), join(modules, '@types', 'node'))
    // What the examples of the READMEs use besides.
    await link(join(FOLDERS.get('layerlock')!, 'node_modules', 'pino'), join(modules, 'pino'))
    await link(join(FOLDERS.get('@layerlock/protocol')!, 'node_modules', 'typebox'), join(modules, 'typebox'))
    for (const tarball of tarballs) await install(tarball, modules)
    return new ConsumerProject(folder)
  }

  /** Makes a file of the examples in a package's README. */
  async writeExample(name: string): Promise<string> {
    const text = await readFile(join(this.folder, 'node_modules', name, 'README.md'), 'utf8')
    const examples = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, example]) => example!)
    if (examples.length === 0) throw new Error(`the README of ${name} has no example`)
    const file = `${name.replace(/\W+/g, '-')}-readme.ts`
    await writeFile(join(this.folder, file), examples.join('\n'))
    return file
  }

  /** The errors that the compiler finds. */
  async compile(files: readonly string[], options: CompilerOptions): Promise<string[]> {
    const config = join(this.folder, 'tsconfig.json')
    // The examples are written as programs are in the checkout: with the names of the files that they import.
    const compilerOptions = { ...COMPILER_OPTIONS, rewriteRelativeImportExtensions: true, ...options }
    await writeFile(config, JSON.stringify({ compilerOptions, files }))
    const compiling = runCommand(join(ROOT, 'node_modules', '.bin', 'tsc'), ['-p', config])
    return compiling.then(
      () => [],
      (error: unknown) => String(error).split('\n'),
    )
  }

  /** Compiles programs of the project into its folder `built`. */
  async build(files: readonly string[]): Promise<void> {
    // Types of dependencies are looked at elsewhere.
    const errors = await this.compile(files, { module: 'nodenext', skipLibCheck: true, outDir: 'built' })
    if (errors.length > 0) throw new Error(errors.join('\n'))
  }

  /** Runs a program of the project with a Node to its end. */
  run(node: string, args: readonly string[]): Promise<CommandOutput> {
    return runCommand(node, args, { cwd: this.folder, env: { NODE_OPTIONS: undefined } })
  }
}

/**
 * Ours lie side by side, where they find each other. What they depend on lies inside each of them, so that a dependency
 * that is used but not declared is not found.
 */
async function install(tarball: Tarball, modules: string): Promise<void> {
  const { name, bin = {}, dependencies = {} } = tarball.manifest
  const target = join(modules, name)
  await mkdir(target, { recursive: true })
  await extractTarball(tarball, target)
  for (const dependency of Object.keys(dependencies)) {
    if (FOLDERS.has(dependency)) continue
    await link(join(FOLDERS.get(name)!, 'node_modules', dependency), join(target, 'node_modules', dependency))
  }
  for (const [command, path] of Object.entries(bin)) await link(join(target, path), join(modules, '.bin', command))
}

async function link(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await symlink(await realpath(from), to)
}
