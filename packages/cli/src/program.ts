import { Command, CommanderError } from 'commander'
import { proxyCommand } from './commands/proxy.ts'
import { serverCommand } from './commands/server.ts'
import { upCommand } from './commands/up.ts'
import { UsageError } from './usage-error.ts'
import { version } from './version.ts'

/** Runs the command that the arguments name; leaves the exit status in `process.exitCode`: 0, 1 (failed), 2 (wrong usage). */
export async function runProgram(args: readonly string[] = process.argv.slice(2)): Promise<void> {
  const program = new Command('layerlock')
    .description('Every image layer is pulled from the registry once per cluster.')
    .version(version())
    .showHelpAfterError('(--help shows what there is)')
  for (const command of [serverCommand(), proxyCommand(), upCommand()]) program.addCommand(command.exitOverride())
  program.exitOverride()

  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version are no errors; everything else that it finds is wrong usage, and it has said so.
      process.exitCode = error.exitCode === 0 ? 0 : 2
    } else {
      process.stderr.write(`layerlock: ${error instanceof Error ? error.message : String(error)}\n`)
      process.exitCode = error instanceof UsageError ? 2 : 1
    }
  }
}
