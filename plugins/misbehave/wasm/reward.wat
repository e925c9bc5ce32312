;; A reward that behaves: the score of a step is the first value of the state, and the metric `calls` counts calls since the last reset.
;;
;; The tests put one of the faults of this folder in place of the line FAULT below and look at what the host makes of it. The exports follow the
;; canonical ABI of the world `reward`; `wit-component` makes a component of them.
(module
  (memory (export "memory") 4)
  (data (i32.const 16) "{\"needs\":[\"observation.state\"],\"decides_success\":false}")
  (data (i32.const 128) "calls")
  (data (i32.const 144) "goal")
  (data (i32.const 160) "must be above 0")
  (global $free (mut i32) (i32.const 8192))
  (global $calls (mut f32) (f32.const 0))
  ;; Added to every score; faults change it.
  (global $bias (mut f32) (f32.const 0))
  ;; Scores left out at the end; faults change it.
  (global $missing (mut i32) (i32.const 0))

  ;; Hands out memory one piece after the other; what was handed out in a call is free again after it.
  (func $realloc (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (block $enough
      (loop $grow
        (br_if $enough (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
        (br_if $grow (i32.ne (memory.grow (i32.const 4)) (i32.const -1)))
        (unreachable)))
    (local.get $at))

  ;; {"goal":-1} is refused, everything else accepted. Result at 256.
  (func (export "twinhost:plugin/scoring@1.0.0#configure")
    (param $config i32) (param $config_length i32) (param $env i32) (param $env_length i32) (param $seed i64) (result i32)
    (global.set $free (i32.const 8192))
    (if (i32.and
          (i32.gt_u (local.get $config_length) (i32.const 8))
          (i32.eq (i32.load8_u offset=8 (local.get $config)) (i32.const 45)))
      (then
        (i32.store (i32.const 256) (i32.const 1))
        (i32.store8 (i32.const 260) (i32.const 0))
        (i32.store (i32.const 264) (i32.const 1))
        (i32.store (i32.const 268) (i32.const 144))
        (i32.store (i32.const 272) (i32.const 4))
        (i32.store (i32.const 276) (i32.const 160))
        (i32.store (i32.const 280) (i32.const 15))
        (return (i32.const 256))))
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (i32.const 16))
    (i32.store (i32.const 264) (i32.const 55))
    (i32.const 256))

  (func (export "twinhost:plugin/scoring@1.0.0#reset") (param $rows i32) (param $count i32) (result i32)
    (global.set $free (i32.const 8192))
    (global.set $calls (f32.const 0))
    (i32.store (i32.const 320) (i32.const 0))
    (i32.const 320))

  (func $endless_recursion (param $n i32) (result i32)
    (i32.add (call $endless_recursion (i32.add (local.get $n) (i32.const 1))) (local.get $n)))

  ;; The result is at 384, the metric at 448.
  (func $score (export "twinhost:plugin/scoring@1.0.0#score")
    (param $rows i32) (param $tensors i32) (param $tensor_count i32) (param $texts i32) (param $text_count i32) (param $steps i32)
    (result i32)
    (local $i i32) (local $count i32) (local $out i32) (local $state i32) (local $width i32)
    (local.set $count (i32.mul (local.get $rows) (local.get $steps)))
    ;; A tensor: name at 0, shape at 8, kind of values at 16, values at 20.
    (local.set $width (i32.load offset=4 (i32.load offset=8 (local.get $tensors))))
    (local.set $state (i32.load offset=20 (local.get $tensors)))
    (local.set $out (call $realloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.mul (local.get $count) (i32.const 4))))
    (global.set $calls (f32.add (global.get $calls) (f32.const 1)))
    (i32.store (i32.const 384) (i32.const 0))
    (i32.store (i32.const 388) (local.get $out))
    (i64.store (i32.const 396) (i64.const 0))
    (i64.store (i32.const 404) (i64.const 0))
    (i32.store (i32.const 412) (i32.const 448))
    (i32.store (i32.const 416) (i32.const 1))
    (i32.store (i32.const 448) (i32.const 128))
    (i32.store (i32.const 452) (i32.const 5))
    (f32.store (i32.const 456) (global.get $calls))
    ;; FAULT
    (i32.store (i32.const 392) (i32.sub (local.get $count) (global.get $missing)))
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $i) (local.get $count)))
        (f32.store
          (i32.add (local.get $out) (i32.shl (local.get $i) (i32.const 2)))
          (f32.add
            (global.get $bias)
            (f32.load
              (i32.add
                (local.get $state)
                (i32.shl (i32.mul (i32.div_u (local.get $i) (local.get $steps)) (local.get $width)) (i32.const 2))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.const 384))
  (func (export "cabi_post_twinhost:plugin/scoring@1.0.0#score") (param $result i32)
    (global.set $free (i32.const 8192))))
