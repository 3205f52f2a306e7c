#[derive(Default)]
pub(crate) struct Fleet;
