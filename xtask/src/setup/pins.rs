//! The pinned libraries: which wheels they come from, what is kept of each, and the hashes that must match.

/// One PyPI wheel, pinned to the byte.
pub struct Wheel {
    /// Requirement as pip reads it.
    pub requirement: &'static str,
    /// pip compares platform tags literally, so each wheel names its own.
    pub platform: &'static str,
    pub file: &'static str,
    pub bytes: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: &'static str,
    /// Which archive members are unpacked.
    pub keep: fn(&str) -> bool,
}

/// A native library assembled from wheels.
pub struct Library {
    pub name: &'static str,
    pub version: &'static str,
    /// Folder in the cache that the wheels are unpacked into.
    pub folder: &'static str,
    /// Folder inside `folder` that the build is pointed at.
    pub root: &'static str,
    /// Name of the link in `.deps/`.
    pub link: &'static str,
    /// The file, relative to `root`, without which the folder is not this library.
    pub sentinel: &'static str,
    pub wheels: &'static [Wheel],
    /// Symbolic links to create, relative to `folder`: (link, target).
    pub symlinks: &'static [(&'static str, &'static str)],
}

/// libtorch for CPU: the wheel without its CUDA kernels. `libtorch_cpu.so` still names libcudart and libcupti as needed, and its
/// rpath looks for them in `nvidia/` beside `torch/`; hence the two small wheels.
pub static LIBTORCH: Library = Library {
    name: "libtorch",
    version: "2.11.0",
    folder: "libtorch-2.11.0",
    root: "torch",
    link: "libtorch",
    sentinel: "lib/libtorch_cpu.so",
    wheels: &[
        Wheel {
            requirement: "nvidia-cuda-runtime==13.0.96",
            platform: "manylinux2014_x86_64",
            file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            bytes: 2_243_632,
            sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            keep: |member| member.contains("/lib/libcudart.so") || is_metadata(member),
        },
        Wheel {
            requirement: "nvidia-cuda-cupti==13.0.85",
            platform: "manylinux_2_25_x86_64",
            file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
            bytes: 10_715_597,
            sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            keep: |member| member.contains("/lib/") || is_metadata(member),
        },
        Wheel {
            requirement: "torch==2.11.0",
            platform: "manylinux_2_28_x86_64",
            file: "torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl",
            bytes: 530_712_279,
            sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
            keep: |member| {
                (member.starts_with("torch/lib/") && !member.starts_with("torch/lib/libtorch_cuda"))
                    || member.starts_with("torch/include/")
                    || is_metadata(member)
            },
        },
    ],
    symlinks: &[],
};

/// MuJoCo: the shared library, its headers and its engine plugins. The linker looks for the name without a version.
pub static MUJOCO: Library = Library {
    name: "MuJoCo",
    version: "3.17.0",
    folder: "mujoco-3.17.0",
    root: "mujoco",
    link: "mujoco",
    sentinel: "libmujoco.so.3.17.0",
    wheels: &[Wheel {
        requirement: "mujoco==3.17.0",
        platform: "manylinux_2_28_x86_64",
        file: "mujoco-3.17.0-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        bytes: 26_654_565,
        sha256: "42371356efe53a5f5f73ed03fcb967bdf04048017f80e2fca01e71a360e42da2",
        keep: |member| {
            member.starts_with("mujoco/libmujoco.so")
                || member.starts_with("mujoco/include/")
                || member.starts_with("mujoco/plugin/")
                || is_metadata(member)
        },
    }],
    symlinks: &[("mujoco/libmujoco.so", "libmujoco.so.3.17.0")],
};

/// The `*.dist-info` folder carries the licence texts, which must travel with the libraries.
fn is_metadata(member: &str) -> bool {
    member.split('/').next().is_some_and(|folder| folder.ends_with(".dist-info"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_kernels_are_left_out_and_licences_are_kept() {
        let torch = LIBTORCH.wheels.last().expect("libtorch has wheels");
        let check = |member: &str, expect: bool| assert_eq!((torch.keep)(member), expect, "{member}");
        check("torch/lib/libtorch_cpu.so", true);
        check("torch/lib/libc10_cuda.so", true);
        check("torch/lib/libtorch_cuda.so", false);
        check("torch/lib/libtorch_cuda_linalg.so", false);
        check("torch/include/ATen/ATen.h", true);
        check("torch/nn/modules/linear.py", false);
        check("torch-2.11.0.dist-info/licenses/LICENSE", true);
    }

    #[test]
    fn every_pin_is_a_full_digest() {
        for wheel in LIBTORCH.wheels.iter().chain(MUJOCO.wheels) {
            assert_eq!(wheel.sha256.len(), 64, "{}", wheel.file);
            assert!(wheel.sha256.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase()), "{}", wheel.file);
            assert!(wheel.file.contains(wheel.platform), "{} is not tagged {}", wheel.file, wheel.platform);
        }
    }
}
