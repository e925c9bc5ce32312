//! Lets this crate's tests and examples find libtorch; the plugin itself carries no path, because the host opens libtorch first.

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        for kind in ["tests", "examples"] {
            println!("cargo::rustc-link-arg-{kind}=-Wl,-rpath,{libtorch}/lib");
        }
    }
}
