import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import {
  httpGet,
  type LayerlockProcess,
  runCommand,
  startLockServer,
  startProcess,
  temporaryFolder,
} from '@layerlock/test-support'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ConsumerProject } from './consumer-project.ts'
import { declaredNames } from './declared-names.ts'
import { packRelease } from './release.ts'
import type { Tarball } from './tarball.ts'

const require = createRequire(import.meta.url)
const NODE_22 = join(dirname(require.resolve('node22/package.json')), 'bin', 'node')
const NODE_24 = process.execPath

/** The programs in `consumer/`. */
const PROGRAMS = ['surface.ts', 'surface-events.ts', 'program.ts', 'server.ts', 'testing.ts']

const LIBRARIES = ['@layerlock/protocol', '@layerlock/client', '@layerlock/server', '@layerlock/proxy']
const PACKAGES = [...LIBRARIES, 'layerlock']

const parts = new AsyncDisposableStack()
let tarballs: Tarball[]
let project: ConsumerProject

function tarballOf(name: string): Tarball {
  return tarballs.find(({ manifest }) => manifest.name === name)!
}

beforeAll(async () => {
  const folder = async (prefix: string) => parts.use(await temporaryFolder(prefix)).path
  tarballs = await packRelease(await folder('release'))
  project = await ConsumerProject.create(await folder('consumer'), tarballs)
})
afterAll(() => parts.disposeAsync())

test('a release has all packages', () => {
  expect(tarballs.map(({ manifest }) => manifest.name).toSorted()).toEqual(PACKAGES.toSorted())
})

describe.each(PACKAGES)('the tarball of %s', (name) => {
  test('has the sources, what was built from them, and nothing else', () => {
    const { files } = tarballOf(name)
    const sources = files.filter((file) => file.startsWith('src/'))
    expect(sources.filter((file) => !/^src\/[a-z0-9-]+(\/[a-z0-9-]+)*\.ts$/.test(file))).toEqual([])
    const built = sources.flatMap((source) =>
      ['js', 'js.map', 'd.ts', 'd.ts.map'].map((ending) => source.replace(/^src\/(.*)\.ts$/, `dist/$1.${ending}`)),
    )
    const expected = ['LICENSE', 'README.md', 'package.json', ...sources, ...built]
    expect(files.toSorted()).toEqual(expected.toSorted())
  })

  test('has a manifest for users: built entries, fixed versions, the Node that it needs', () => {
    const { manifest, files } = tarballOf(name)
    expect(manifest).toMatchObject({ license: 'Apache-2.0', type: 'module', publishConfig: { access: 'public' } })
    expect(manifest.engines).toEqual({ node: expect.stringMatching(/^>=(22\.19|24)$/) })
    const { exports = {}, bin = {}, dependencies = {}, peerDependencies = {} } = manifest
    const entries = [...Object.values(exports).flatMap((entry) => Object.values(entry)), ...Object.values(bin)]
    expect(entries).not.toEqual([])
    expect(entries.filter((entry) => !files.includes(entry.replace(/^\.\//, '')))).toEqual([])
    const versions = Object.values({ ...dependencies, ...peerDependencies })
    expect(versions.filter((version) => !/^[\^~]?\d+\.\d+\.\d+$/.test(version))).toEqual([])
  })

  test('has nothing that publint finds wrong', async () => {
    const { buffer } = new Uint8Array(await readFile(tarballOf(name).path))
    const { messages, pkg } = await publint({ pack: { tarball: buffer }, level: 'suggestion', strict: true })
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([])
  })
})

// The command has no entry for programs, and so no types.
test.each(LIBRARIES)('the types of %s are those of what it runs', async (name) => {
  const { path, manifest } = tarballOf(name)
  const analysis = await checkPackage(createPackageFromTarballData(new Uint8Array(await readFile(path))))
  const problems = 'problems' in analysis ? analysis.problems : ['no types']
  // ESM only: how CommonJS and the resolution of Node 10 see it is left out, as `attw --profile esm-only` does.
  const ours = problems.filter(
    (problem) =>
      typeof problem === 'string' ||
      !('resolutionKind' in problem && ['node10', 'node16-cjs'].includes(problem.resolutionKind)),
  )
  expect(ours).toEqual([])
  expect(Object.keys('entrypoints' in analysis ? analysis.entrypoints : {})).toEqual(Object.keys(manifest.exports!))
})

describe('a project that has the packages installed', () => {
  const exact = { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true }
  // The README of the lock client shows pieces of programs.
  const README_EXAMPLES = LIBRARIES.filter((name) => name !== '@layerlock/client')
  let files: string[]

  beforeAll(async () => {
    const examples = await Promise.all(README_EXAMPLES.map((name) => project.writeExample(name)))
    files = [...PROGRAMS, ...examples]
  })

  test.each([
    ['module nodenext', { module: 'nodenext' }],
    ['module nodenext and exact optional properties', { module: 'nodenext', ...exact }],
    ['bundler resolution and exact optional properties', { module: 'esnext', moduleResolution: 'bundler', ...exact }],
  ])('compiles with %s', async (_name, options) => {
    expect(await project.compile(files, { ...options, noEmit: true })).toEqual([])
  })

  test('has used every name of the lock client, and every member of its types', async () => {
    const programs = await Promise.all(PROGRAMS.map((file) => readFile(join(project.folder, file), 'utf8')))
    const words = new Set(programs.join('\n').match(/\w+/g))
    const entries = Object.values(tarballOf('@layerlock/client').manifest.exports!).map(({ types }) => types)
    const client = join(project.folder, 'node_modules', '@layerlock', 'client')
    const names = (await Promise.all(entries.map((entry) => declaredNames(join(client, entry))))).flat()
    expect(names).toContain('fencingToken')
    expect(names.filter((name) => !words.has(name))).toEqual([])
  })

  describe('and a lock server', () => {
    let server: LayerlockProcess

    beforeAll(async () => {
      server = parts.use(await startLockServer())
      await project.build(['program.ts', 'server.ts', 'testing.ts'])
    })

    test.each([
      ['22', NODE_22],
      ['24', NODE_24],
    ])('runs on Node %s', async (major, node) => {
      const { stdout: version } = await project.run(node, ['--version'])
      expect(version).toMatch(new RegExp(`^v${major}\\.`))
      const { stdout, stderr } = await project.run(node, ['built/program.js', server.url])
      const value = { token: true, held: true }
      const by = `node-${version.trim()}`
      expect(JSON.parse(stdout)).toEqual({
        busy: true,
        timedOut: true,
        lost: true,
        free: true,
        first: { ran: true, value, by, attempts: 1, ageMs: 0 },
        second: { ran: false, value, by, attempts: 0, ageMs: expect.any(Number) as number },
      })
      expect(stderr).toBe('')
    })

    test.each([
      ['22', NODE_22],
      ['24', NODE_24],
    ])('can have a lock server of its own on Node %s, and one for its tests', async (major, node) => {
      const own = await project.run(node, ['built/server.js', join(project.folder, `${major}.db`)])
      expect(JSON.parse(own.stdout)).toEqual(['first', 'first'])
      const tests = await project.run(node, ['built/testing.js'])
      expect(JSON.parse(tests.stdout)).toEqual({ value: 2, state: 'done', lost: true })
    })
  })

  describe('has the layerlock command, which', () => {
    let command: string
    beforeAll(() => {
      command = join(project.folder, 'node_modules', '.bin', 'layerlock')
    })
    // Its first line asks for `node` from the path.
    const env = { PATH: `${dirname(NODE_24)}:${process.env['PATH']}`, NODE_OPTIONS: undefined }

    test('tells its version', async () => {
      const { stdout } = await runCommand(command, ['--version'], { env })
      expect(stdout.trim()).toBe(tarballOf('layerlock').manifest.version)
    })

    test('runs a lock server', async () => {
      const args = ['server', '--store', 'memory', '--listen', '127.0.0.1:0']
      await using running = await startProcess({ command, args, env, readyWhen: /"msg":"ready"/ })
      const [, url] = await running.waitForOutput(/"url":"([^"]+)"/)
      expect((await httpGet(`${url}/healthz`)).status).toBe(200)
      running.kill('SIGTERM')
      expect(await running.exited).toEqual({ code: 0, signal: null })
    })
  })
})
