export declare function encodeHeaderPartition(i: {
  unitId: string
  generation: number
  header: import('#shared/domain/unit-header.ts').UnitHeader
}): Uint8Array
