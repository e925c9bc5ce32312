//! Lets this crate's own torch tests find libtorch. Link arguments do not propagate, so plugins carry no path.

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if std::env::var_os("CARGO_FEATURE_TORCH").is_some()
        && let Some(root) = std::env::var_os("LIBTORCH")
    {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{}/lib", root.display());
    }
}
