//! Lets this crate's own tests find libtorch. Link arguments do not propagate, so plugins carry no path.

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if let Some(root) = std::env::var_os("LIBTORCH") {
        println!("cargo::rustc-link-arg-tests=-Wl,-rpath,{}/lib", root.display());
    }
}
