import { Command, Option } from 'commander'

/** A flag with its environment variable: `--peer-listen` is also `LAYERLOCK_PEER_LISTEN`. */
export function flag(flags: string, description: string, fallback?: string): Option {
  const option = new Option(flags, description)
  option.env(`LAYERLOCK_${option.attributeName().replaceAll(/[A-Z]/g, '_$&').toUpperCase()}`)
  return fallback === undefined ? option : option.default(fallback)
}

/** A command with the flags that all have. */
export function createCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(flag('--config <file>', 'a TOML file; flags and environment go before it'))
    .addOption(flag('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent', 'info'))
    .showHelpAfterError('(--help shows what there is)')
    .allowExcessArguments(false)
}
