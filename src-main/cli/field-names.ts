import type { Command } from 'commander'
import type { NameField } from '#main/api/describe-issues.ts'

/** Fields of the contract that options give under another name than their own, in singular or without its unit. */
const optionNames: Readonly<Record<string, readonly string[]>> = {
  connection: ['ssh'],
  osType: ['os'],
  lunLimitPerVolume: ['lunLimit'],
  paths: ['image', 'hostImage'],
  path: ['folder', 'hostFolder', 'ovf'],
  portals: ['portal'],
  jumps: ['jump'],
  identityFiles: ['identity'],
  knownHostsFiles: ['knownHosts'],
  volumes: ['volume'],
}
/** Fields that are parts of one text: ARRAY/VOLUME/NAME, ARRAY/LUN. */
const parts: Readonly<Record<string, string>> = {
  array: 'ARRAY',
  volume: 'VOLUME',
  container: 'NAME',
  lun: 'LUN',
}

const withoutUnit = (field: string): string => field.replace(/(Bytes|Ms|Percent)$/, '')

/** How a person writes the fields of an input in this command: "--count", "<name>", "NAME in <container>". */
export function fieldNames(command: Command): NameField {
  const optionFor = (field: string): string | undefined => {
    const names = [field, withoutUnit(field), ...(optionNames[field] ?? [])]
    const options = command.options.filter((option) => names.includes(option.attributeName()))
    const given = options.find((option) => command.getOptionValueSource(option.attributeName()) === 'cli')
    return (given ?? options[0])?.long
  }
  const argumentFor = (field: string): string | undefined => {
    // "gantry host vms <name>"
    const isName = field === 'deployments' || field === command.parent?.name()
    const names = isName ? [field, 'name'] : [field]
    const argument = command.registeredArguments.find((candidate) => names.includes(candidate.name()))
    return argument === undefined ? undefined : `<${argument.name()}>`
  }
  const partFor = (field: string): string | undefined => {
    const part = parts[field]
    const whole = argumentFor('container') ?? argumentFor('lun') ?? (optionFor('to') && '--to')
    return part === undefined || whole === undefined ? undefined : `${part} in ${whole}`
  }
  const nameOf = (field: string): string | undefined =>
    command.name() === 'add' && field === 'host'
      ? '--ssh'
      : (optionFor(field) ?? partFor(field) ?? argumentFor(field))

  return (path) => {
    // the innermost field that the command line has a word for
    const named = path.split('.').toReversed().map(nameOf)
    return named.find((name) => name !== undefined) ?? `"${path}"`
  }
}
