//! The epochs of a training run, read from its `metrics.csv`.

use std::path::Path;

use serde::Deserialize;

use super::ReportError;

/// An epoch of a training run, as far as a report shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Side of the network's input, pixels.
    pub size: u32,
    /// Mean loss on the training films.
    pub train_loss: f64,
    /// Accuracy on the training films, 0..=1. `None` in runs of older trainers.
    pub train_accuracy: Option<f64>,
    /// Mean loss on the validation films.
    pub val_loss: f64,
    /// Accuracy on the validation films, 0..=1.
    pub val_accuracy: f64,
}

/// A training run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The name of the run's folder.
    pub name: String,
    /// The finished epochs, in their order; at least one.
    pub epochs: Vec<Epoch>,
}

impl Epoch {
    fn is_finite(&self) -> bool {
        let figures = [self.train_loss, self.val_loss, self.val_accuracy];
        figures.into_iter().chain(self.train_accuracy).all(f64::is_finite)
    }
}

impl Run {
    /// Reads a run's folder, or its `metrics.csv`.
    ///
    /// # Errors
    /// The file cannot be read, has no epoch, or holds a loss or an accuracy that is not finite.
    pub fn read(path: &Path) -> Result<Run, ReportError> {
        let file = if path.is_dir() { path.join("metrics.csv") } else { path.to_path_buf() };
        let table = |source| ReportError::Run { path: file.clone(), source };
        let epochs = csv::Reader::from_path(&file)
            .and_then(|mut reader| reader.deserialize().collect::<Result<Vec<Epoch>, _>>())
            .map_err(table)?;
        if epochs.is_empty() {
            return Err(ReportError::EmptyRun(file));
        }
        if let Some(epoch) = epochs.iter().find(|epoch| !epoch.is_finite()) {
            return Err(ReportError::NotFiniteRun { path: file, epoch: epoch.epoch });
        }
        let folder = file.canonicalize().ok().and_then(|file| Some(file.parent()?.file_name()?.to_owned()));
        let name = folder.unwrap_or_default().to_string_lossy().into_owned();
        Ok(Run { name, epochs })
    }

    /// The epoch whose weights were kept: the one with the best validation accuracy at the last input size. Of equals it is
    /// the last.
    pub fn best(&self) -> Option<&Epoch> {
        let size = self.epochs.last()?.size;
        let of_last_size = self.epochs.iter().filter(|epoch| epoch.size == size);
        of_last_size.max_by(|a, b| a.val_accuracy.total_cmp(&b.val_accuracy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_one_of_the_last_size() {
        let folder = tempfile::tempdir().unwrap();
        let table = "epoch,size,learning_rate,train_loss,val_loss,val_accuracy,seconds\n\
                     1,128,0.1,1.0,0.9,0.99,3\n2,224,0.1,0.8,0.7,0.6,3\n3,224,0.1,0.7,0.7,0.6,3\n4,224,0.1,0.6,0.8,0.5,3\n";
        std::fs::write(folder.path().join("metrics.csv"), table).unwrap();
        let run = Run::read(folder.path()).unwrap();
        assert_eq!(run.name, folder.path().file_name().unwrap().to_string_lossy());
        assert_eq!((run.epochs.len(), run.best().unwrap().epoch), (4, 3));
        assert_eq!(run.epochs[0].train_accuracy, None);
    }

    #[test]
    fn what_is_no_run_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("metrics.csv");
        for text in ["epoch,size\n1,128\n", "epoch,size,train_loss,val_loss,val_accuracy\n"] {
            std::fs::write(&file, text).unwrap();
            assert!(Run::read(folder.path()).unwrap_err().to_string().contains("metrics.csv"));
        }
        let header = "epoch,size,train_loss,val_loss,val_accuracy";
        for figures in ["NaN,1.0,0.5", "1.0,inf,0.5", "1.0,1.0,nan"] {
            std::fs::write(&file, format!("{header}\n1,128,1.0,1.0,0.5\n2,128,{figures}\n")).unwrap();
            let error = Run::read(folder.path()).unwrap_err();
            assert!(matches!(error, ReportError::NotFiniteRun { epoch: 2, .. }), "{figures}: {error}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(Run::read(folder.path()).unwrap_err().to_string().contains("metrics.csv"));
    }
}
