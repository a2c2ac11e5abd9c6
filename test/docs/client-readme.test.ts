import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { TestLockServer } from '@layerlock/client/testing'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')
const CLIENT = join(ROOT, 'packages', 'lock-client')
const README = readFileSync(join(CLIENT, 'README.md'), 'utf8')
const EXAMPLES = [...README.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1]!)

/** What the examples leave to their reader. */
const PRELUDE = `import type { LockClient } from '@layerlock/client'
declare global {
  const locks: LockClient
  const signal: AbortSignal
  const storage: {
    write(path: string, value: unknown, options: { unlessNewerThan: number }): Promise<void>
    has(path: string): Promise<boolean>
  }
  function render(month: string, options: { signal: AbortSignal }): Promise<{ path: string }>
}
`

const run = promisify(execFile)

/** A folder whose files find the packages as a user's would. */
async function userFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const parent = join(import.meta.dirname, 'node_modules', '.cache')
  await mkdir(parent, { recursive: true })
  const path = await mkdtemp(join(parent, 'readme-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

/** The first column of the table below a heading. */
function rows(heading: string): string[] {
  const [, section] = README.split(`\n## ${heading}\n`)
  return [...section!.split('\n## ')[0]!.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]!)
}

// The compiler reads the sources of all packages: on a busy machine that takes a while.
test('the TypeScript examples of the client’s README are right by its types', { timeout: 240_000 }, async () => {
  await using folder = await userFolder()
  const compilerOptions = {
    noEmit: true,
    composite: false,
    incremental: false,
    declaration: false,
    declarationMap: false,
    rewriteRelativeImportExtensions: false,
    allowImportingTsExtensions: true,
  }
  const config = { extends: join(ROOT, 'tsconfig.base.json'), compilerOptions, include: ['*.ts'] }
  const moduled = (example: string) => (/^(import|export) /m.test(example) ? example : `${example}export {}\n`)
  await Promise.all([
    writeFile(join(folder.path, 'tsconfig.json'), JSON.stringify(config)),
    writeFile(join(folder.path, 'prelude.ts'), PRELUDE),
    ...EXAMPLES.map((example, index) => writeFile(join(folder.path, `example-${index + 1}.ts`), moduled(example))),
  ])
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const { stdout } = await run(tsc, ['-p', folder.path]).catch((error: { stdout: string }) => error)
  expect(stdout).toBe('')
  expect(EXAMPLES.length).toBeGreaterThanOrEqual(9)
})

test('the first example of the client’s README does what it says', async () => {
  await using server = await TestLockServer.start()
  await using folder = await userFolder()
  const [example] = EXAMPLES
  expect(example).toContain('http://127.0.0.1:7400')
  // Not a .ts: Node takes no types away below a node_modules folder. It has none.
  const file = join(folder.path, 'example.mjs')
  await writeFile(file, example!.replace('http://127.0.0.1:7400', server.url))
  const first = await run(process.execPath, [file])
  expect(first.stdout).toMatch(/^held, with token \d+\ndid the work { total: 42 }\n$/)
  const second = await run(process.execPath, [file])
  expect(second.stdout).toMatch(/^held, with token \d+\nsomebody else did { total: 42 }\n$/)
})

test('the client’s README has each of its options, channels and errors, and no others', () => {
  const source = (name: string) => readFileSync(join(CLIENT, 'src', name), 'utf8')
  const options = /export interface LockClientOptions {([\s\S]*?)\n}/.exec(source('client-options.ts'))![1]!
  expect(rows('Options').toSorted()).toEqual(
    [...options.matchAll(/readonly (\w+)\?:/g)].map((match) => match[1]!).toSorted(),
  )
  const channels = [...source('diagnostics.ts').matchAll(/channel\('([^']+)'\)/g)].map((match) => match[1]!)
  expect(rows('Diagnostics').toSorted()).toEqual(channels.toSorted())
  const errors = [...source('errors.ts').matchAll(/export class (\w+)/g)].map((match) => match[1]!)
  expect(rows('Errors').toSorted()).toEqual(errors.toSorted())
})

test('docs/errors.md has each code that only the client gives', () => {
  const text = readFileSync(join(ROOT, 'docs', 'errors.md'), 'utf8')
  const source = readFileSync(join(CLIENT, 'src', 'errors.ts'), 'utf8')
  const [, codes] = /type ClientErrorCode = ErrorCode \| (.*)/.exec(source)!
  const told = codes!.split(' | ').map((code) => new RegExp(`\`${code.slice(1, -1)}\`\\s\\(\`\\w+Error\``).test(text))
  expect(told).toEqual([true, true, true, true, true])
})
