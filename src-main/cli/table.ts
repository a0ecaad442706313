export interface TableColumn<Row> {
  readonly title: string
  readonly align?: 'left' | 'right'
  value(row: Row): string
}

const widthOf = (text: string): number => Array.from(text).length

/** Columns two spaces apart, as wide as their widest cell; no line ends in spaces. Empty without rows. */
export function formatTable<Row>(rows: readonly Row[], columns: readonly TableColumn<Row>[]): string {
  if (rows.length === 0) return ''
  const lines = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map((column) => cellOf(column, row))),
  ]
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => widthOf(line[index] ?? ''))))
  return lines
    .map((line) =>
      line
        .map((cell, index) => {
          const space = ' '.repeat((widths[index] ?? 0) - widthOf(cell))
          return columns[index]?.align === 'right' ? space + cell : cell + space
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const cellOf = <Row>(column: TableColumn<Row>, row: Row): string => column.value(row).replaceAll(/\s+/g, ' ')
