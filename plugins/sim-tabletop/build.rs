//! Lets the crate's own tests and examples find libmujoco at run time. The plugin library itself carries no path: the host
//! opens the chosen libmujoco before it loads a plugin that needs it.

fn main() {
    println!("cargo::rerun-if-env-changed=MUJOCO_DYNAMIC_LINK_DIR");
    if let Ok(dir) = std::env::var("MUJOCO_DYNAMIC_LINK_DIR") {
        for kind in ["tests", "examples"] {
            println!("cargo::rustc-link-arg-{kind}=-Wl,-rpath,{dir}");
        }
    }
}
