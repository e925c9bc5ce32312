;; A whole component, of the world `reward` by its export, that wants the clock.
(component
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance (export "now" (func (result u64)))))
  (instance $empty)
  (export "twinhost:plugin/scoring@1.0.0" (instance $empty)))
