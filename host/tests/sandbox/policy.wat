;; An expert that goes back to where the first value of the state is 0. The gripper shows the call: 1 for an odd seed, plus 2 if greedy.
;; Exports follow the canonical ABI of `policy`.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "{\"action_dim\":2,\"chunk\":1,\"observation\":[\"observation.state\"],\"texts\":[\"task\"],\"differentiable\":true}")
  (global $free (mut i32) (i32.const 8192))
  (func $realloc (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func (export "twinhost:plugin/acting@1.0.0#configure") (param i32 i32 i32 i32 i64) (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (i32.const 16))
    (i32.store (i32.const 264) (i32.const 101))
    (i32.const 256))
  (func (export "twinhost:plugin/acting@1.0.0#reset") (param i32 i32 i32 i32) (result i32)
    (global.set $free (i32.const 8192))
    (i32.store (i32.const 256) (i32.const 0))
    (i32.const 256))
  (func (export "twinhost:plugin/acting@1.0.0#act")
    (param $rows i32) (param $tensors i32) (param $tensor_count i32) (param $texts i32) (param $text_count i32)
    (param $seed i64) (param $greedy i32) (result i32)
    (local $i i32) (local $state i32) (local $width i32)
    ;; The text `task` must have come too.
    (if (i32.ne (local.get $text_count) (i32.const 1)) (then (unreachable)))
    (local.set $width (i32.load offset=4 (i32.load offset=8 (local.get $tensors))))
    (local.set $state (i32.load offset=20 (local.get $tensors)))
    (block $end
      (loop $next
        (br_if $end (i32.ge_u (local.get $i) (local.get $rows)))
        (f32.store
          (i32.add (i32.const 1024) (i32.shl (local.get $i) (i32.const 3)))
          (f32.neg (f32.load (i32.add (local.get $state) (i32.shl (i32.mul (local.get $i) (local.get $width)) (i32.const 2))))))
        (f32.store offset=4
          (i32.add (i32.const 1024) (i32.shl (local.get $i) (i32.const 3)))
          (f32.convert_i32_u
            (i32.add (i32.wrap_i64 (i64.and (local.get $seed) (i64.const 1))) (i32.shl (local.get $greedy) (i32.const 1)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (global.set $free (i32.const 8192))
    (i32.store (i32.const 384) (i32.const 0))
    (i32.store (i32.const 388) (i32.const 1024))
    (i32.store (i32.const 392) (i32.shl (local.get $rows) (i32.const 1)))
    (i32.const 384)))
