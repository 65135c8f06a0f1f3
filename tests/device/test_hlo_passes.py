"""What is counted in a compiled program."""

import hlo_passes

PROGRAM = """HloModule jit_step, is_scheduled=true

%taken (table: f32[4096,4096], place: s32[]) -> f32[8,4096] {
  %table = f32[4096,4096]{1,0} parameter(0)
  %place = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %rows = f32[8,4096]{1,0} dynamic-slice(%table, %place, %zero), dynamic_slice_sizes={8,4096}
}

%doubled (values: f32[4096,4096]) -> bf16[4096,4096] {
  %values = f32[4096,4096]{1,0} parameter(0)
  %twice = f32[4096,4096]{1,0} add(%values, %values)
  ROOT %narrow = bf16[4096,4096]{1,0} convert(%twice)
}

%changed (all: f32[4096,4096], row: f32[1,4096], at: s32[]) -> f32[4096,4096] {
  %all = f32[4096,4096]{1,0} parameter(0)
  %row = f32[1,4096]{1,0} parameter(1)
  %at = s32[] parameter(2)
  ROOT %new = f32[4096,4096]{1,0} dynamic-update-slice(%all, %row, %at, %at)
}

%body (carry: (s32[], f32[4096,4096])) -> (s32[], f32[4096,4096]) {
  %carry = (s32[], f32[4096,4096]{1,0}) parameter(0)
  %number = s32[] get-tuple-element(%carry), index=0
  %whole = f32[4096,4096]{1,0} get-tuple-element(%carry), index=1
  %some = f32[8,4096]{1,0} fusion(%whole, %number), kind=kLoop, calls=%taken
  ROOT %next = (s32[], f32[4096,4096]{1,0}) tuple(%number, %whole)
}

%condition (carry.1: (s32[], f32[4096,4096])) -> pred[] {
  %carry.1 = (s32[], f32[4096,4096]{1,0}) parameter(0)
  ROOT %more = pred[] constant(true)
}

ENTRY %main (first: f32[4096,4096], row.1: f32[1,4096], at.1: s32[]) -> f32[4096,4096] {
  %first = f32[4096,4096]{1,0} parameter(0)
  %row.1 = f32[1,4096]{1,0} parameter(1)
  %at.1 = s32[] parameter(2)
  %half = bf16[4096,4096]{1,0} fusion(%first), kind=kLoop, calls=%doubled
  %start = (s32[], f32[4096,4096]{1,0}) tuple(%at.1, %first)
  %loop = (s32[], f32[4096,4096]{1,0}) while(%start), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"16"}}
  ROOT %end = f32[4096,4096]{1,0} fusion(%first, %row.1, %at.1), kind=kLoop, calls=%changed
}
"""


def test_a_kernel_counts_for_what_it_touches_and_as_often_as_it_runs():
    whole, row, number = 4 * 4096**2, 4 * 4096, 4
    (counts,) = hlo_passes.count(PROGRAM).values()
    doubled = whole + whole // 2
    in_loop = 16 * (8 * row + 8 * row + number)  # eight rows read and written
    in_place = row + row + number  # one row read and written
    assert counts[0] == doubled + in_loop + in_place
    # An array of 64 MiB is larger than the cache, its bfloat16 copy of 32 MiB is not.
    assert counts[1:] == [whole, 1, 1 + 16 + 1]
