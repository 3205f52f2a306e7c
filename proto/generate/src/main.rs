//! Writes `src/proto/` from `proto/`; run by `make proto`, from the top of the project.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(["proto/waypoint.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .out_dir("src/proto")
        .compile_fds(descriptors)?;
    Ok(())
}
