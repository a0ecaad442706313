import type { ReactNode } from 'react'
import styles from './data-table.module.css'

export interface Column<Row> {
  readonly title: string
  /** Numbers stand right so that their digits line up. */
  readonly align?: 'start' | 'end'
  /** Share of the table's width, per cent. */
  readonly width: number
  cell(row: Row): ReactNode
}

export interface RowGroup<Row> {
  readonly key: string
  /** Stands over the group's rows, across the table. */
  readonly head?: ReactNode
  /** Stands instead of rows when there are none. */
  readonly whenEmpty?: ReactNode
  readonly rows: readonly Row[]
}

export interface DataTableProps<Row> {
  readonly label: string
  readonly columns: readonly Column<Row>[]
  readonly groups: readonly RowGroup<Row>[]
  rowKey: (row: Row) => string
}

/** A plain table; the first column names the row. Scrolls sideways by itself, also by keyboard, when it is too wide. */
export function DataTable<Row>({ label, columns, groups, rowKey }: DataTableProps<Row>) {
  return (
    <div className={styles.scroller} role="region" aria-label={`${label}, table`} tabIndex={0}>
      <table className={styles.table} aria-label={label}>
        <colgroup>
          {columns.map((column) => (
            <col key={column.title} width={`${column.width}%`} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.title} scope="col" data-align={column.align ?? 'start'}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        {groups.map((group) => (
          <Group key={group.key} group={group} columns={columns} rowKey={rowKey} />
        ))}
      </table>
    </div>
  )
}

interface GroupProps<Row> {
  readonly group: RowGroup<Row>
  readonly columns: readonly Column<Row>[]
  rowKey: (row: Row) => string
}

function Group<Row>({ group, columns, rowKey }: GroupProps<Row>) {
  return (
    <tbody>
      {group.head === undefined ? null : (
        <tr className={styles.groupHead}>
          <th scope="rowgroup" colSpan={columns.length}>
            {group.head}
          </th>
        </tr>
      )}
      {group.rows.length === 0 && group.whenEmpty !== undefined ? (
        <tr>
          <td className={styles.whenEmpty} colSpan={columns.length}>
            {group.whenEmpty}
          </td>
        </tr>
      ) : null}
      {group.rows.map((row) => (
        <tr key={rowKey(row)}>
          {columns.map((column, index) =>
            index === 0 ? (
              <th key={column.title} scope="row">
                {column.cell(row)}
              </th>
            ) : (
              <td key={column.title} data-align={column.align ?? 'start'}>
                {column.cell(row)}
              </td>
            ),
          )}
        </tr>
      ))}
    </tbody>
  )
}
